"""Who votes for whom while they are away, and for whom a vote was cast."""

from alembic import op

revision = "0021"
down_revision = "0020"

# Of days without daylight saving: a month of 30 times 24 hours, as the rule has it.
DELEGATION = """
CREATE TABLE delegation (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    giver text NOT NULL,
    delegate text NOT NULL CHECK (delegate <> giver),
    groups text[] NOT NULL,
    services text[] NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL CHECK (ends_at > starts_at AND ends_at <= starts_at + interval '720 hours'),
    given_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz,
    revoked_by text NOT NULL DEFAULT ''
)
"""
OPEN = "CREATE INDEX delegation_open ON delegation (ends_at) WHERE revoked_at IS NULL"
ON_BEHALF_OF = "ALTER TABLE vote ADD on_behalf_of text[] NOT NULL DEFAULT '{}'"


def upgrade() -> None:
    for statement in (DELEGATION, OPEN, ON_BEHALF_OF):
        op.execute(statement)
