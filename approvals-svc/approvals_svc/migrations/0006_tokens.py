"""Sessions that refresh tokens belong to, and tries to log in."""

from alembic import op

revision = "0006"
down_revision = "0005"

# One row per family of refresh tokens: its id is in each of them, its row knows the hash of the one that is valid.
SESSION = """
CREATE TABLE session (
    id uuid PRIMARY KEY,
    account text NOT NULL,
    credential bytea NOT NULL,
    refresh_hash bytea NOT NULL,
    started_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz
)
"""
SESSION_EXPIRY = "CREATE INDEX session_expiry ON session (expires_at)"
# Names as they were typed are not kept: people type passwords there too.
LOGIN_ATTEMPT = """
CREATE TABLE login_attempt (
    account_hash bytea PRIMARY KEY,
    tried_at timestamptz[] NOT NULL,
    last_at timestamptz NOT NULL
)
"""
LOGIN_ATTEMPT_AGE = "CREATE INDEX login_attempt_age ON login_attempt (last_at)"


def upgrade() -> None:
    for statement in (SESSION, SESSION_EXPIRY, LOGIN_ATTEMPT, LOGIN_ATTEMPT_AGE):
        op.execute(statement)
