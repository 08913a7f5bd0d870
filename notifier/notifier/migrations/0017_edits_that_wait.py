"""Edits that can wait for the next one."""

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.execute("ALTER TABLE message ADD edit_after timestamptz")
