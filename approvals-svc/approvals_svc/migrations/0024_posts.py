"""What people ask in chat may be answered to everybody in a channel."""

from alembic import op

revision = "0024"
down_revision = "0023"

POSTED = "ALTER TABLE question ADD is_posted boolean NOT NULL DEFAULT false, ADD post_to text NOT NULL DEFAULT ''"


def upgrade() -> None:
    op.execute(POSTED)
