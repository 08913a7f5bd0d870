"""Which things have cards that nobody could be shown."""

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.execute("CREATE INDEX message_dead ON message (thing) WHERE state = 'dead' AND thing IS NOT NULL")
