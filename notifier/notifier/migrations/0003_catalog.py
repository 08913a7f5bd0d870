"""The catalog as numbered versions."""

from alembic import op

from shared.db.tables import CATALOG_VERSION

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute(CATALOG_VERSION)
