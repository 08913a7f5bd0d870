"""Where each push of a branch began and ended, so that a missing one shows."""

from alembic import op

revision = "0017"
down_revision = "0016"

ENDS = """
ALTER TABLE branch_commit
    ADD COLUMN push_before text NOT NULL DEFAULT '',
    ADD COLUMN push_after text NOT NULL DEFAULT ''
"""


def upgrade() -> None:
    op.execute(ENDS)
