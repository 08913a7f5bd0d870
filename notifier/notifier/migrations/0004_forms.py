"""A private answer may be a form: it needs the trigger of the click, and falls back to its text."""

from alembic import op

revision = "0004"
down_revision = "0003"

FORM = "ALTER TABLE ephemeral ADD trigger_id text NOT NULL DEFAULT '', ADD form json"


def upgrade() -> None:
    op.execute(FORM)
