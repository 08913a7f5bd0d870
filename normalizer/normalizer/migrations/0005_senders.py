"""What came in headers and is needed to translate a delivery again: the sender's name and its own time."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE delivery ADD COLUMN name text NOT NULL DEFAULT '', ADD COLUMN sent text NOT NULL DEFAULT ''"
    )
