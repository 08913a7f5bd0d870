"""What GitHub was told of what waits there."""

from alembic import op

revision = "0012"
down_revision = "0011"

# What was told when this is installed is not known: nothing more is told of it until it changes.
COLUMNS = """
ALTER TABLE approval
    ADD COLUMN reported_version integer NOT NULL DEFAULT 0,
    ADD COLUMN reports text[] NOT NULL DEFAULT '{}',
    ADD COLUMN report_at timestamptz NOT NULL DEFAULT now()
"""
SEEN = "UPDATE approval SET reported_version = version WHERE status = 'pending'"
DUE = """
CREATE INDEX approval_report_due ON approval (source, report_at)
WHERE status = 'pending' AND reported_version < version
"""


def upgrade() -> None:
    for statement in (COLUMNS, SEEN, DUE):
        op.execute(statement)
