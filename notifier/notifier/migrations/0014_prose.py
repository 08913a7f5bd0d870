"""Which lists a model was asked about, and why its words are not shown."""

from alembic import op

revision = "0014"
down_revision = "0013"

PROSE = """
CREATE TABLE prose (
    thing text PRIMARY KEY REFERENCES thing (key),
    wanted_at timestamptz NOT NULL DEFAULT now(),
    asked_at timestamptz,
    ended_at timestamptz,
    reason text NOT NULL DEFAULT ''
)
"""
UNASKED = "CREATE INDEX prose_unasked ON prose (wanted_at) WHERE asked_at IS NULL"


def upgrade() -> None:
    op.execute(PROSE)
    op.execute(UNASKED)
