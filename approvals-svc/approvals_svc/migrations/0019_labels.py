"""Approvals are found by the labels of what they are about."""

from alembic import op

revision = "0019"
down_revision = "0018"

LABELS = "CREATE INDEX approval_labels ON approval USING gin ((facts -> 'labels'))"


def upgrade() -> None:
    op.execute(LABELS)
