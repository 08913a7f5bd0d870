"""Who is in the teams of GitHub that the policy names, as GitHub said last."""

from alembic import op

revision = "0025"
down_revision = "0024"

GITHUB_TEAM = """
CREATE TABLE github_team (
    team text PRIMARY KEY,
    logins text[] NOT NULL DEFAULT '{}',
    checked_at timestamptz,
    problem text NOT NULL DEFAULT '',
    wanted_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""


def upgrade() -> None:
    op.execute(GITHUB_TEAM)
