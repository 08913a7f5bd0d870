"""Whose turn it is to look at GitHub, and which gates were looked at there longest ago."""

from alembic import op

revision = "0015"
down_revision = "0014"

TURN = "CREATE TABLE turn (name text PRIMARY KEY, next_at timestamptz NOT NULL)"
LOOKED_AT = "ALTER TABLE approval ADD COLUMN looked_at timestamptz"
BY_RUN = """
CREATE INDEX approval_by_run ON approval (repository, (payload ->> 'run_id')) WHERE action = 'deploy'
"""


def upgrade() -> None:
    for statement in (TURN, LOOKED_AT, BY_RUN):
        op.execute(statement)
