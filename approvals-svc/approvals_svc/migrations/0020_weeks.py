"""Of which weeks was told, and what was decided when."""

from alembic import op

revision = "0020"
down_revision = "0019"

TOLD_WEEK = """
CREATE TABLE told_week (
    week date PRIMARY KEY,
    told_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""
BY_DECISION = "CREATE INDEX approval_decided ON approval (decided_at)"


def upgrade() -> None:
    for statement in (TOLD_WEEK, BY_DECISION):
        op.execute(statement)
