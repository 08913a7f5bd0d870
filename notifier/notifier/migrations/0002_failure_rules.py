"""What the bus remembers of messages that fail: counted tries, those that wait, subjects that are paused."""

from alembic import op

from shared.db.tables import FAILURE_RULES

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for statement in FAILURE_RULES:
        op.execute(statement)
