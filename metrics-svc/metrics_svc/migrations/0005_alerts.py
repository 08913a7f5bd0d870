"""Alerts beside incidents: they have a rule, and count where the catalog says so."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("ALTER TABLE incident ADD COLUMN rule text")
