"""The catalog as numbered versions; what is derived keeps the one that it was derived by last."""

from alembic import op

from shared.db.tables import CATALOG_VERSION

revision = "0003"
down_revision = "0002"

DERIVED = ("repository", "production_deployment", "change_link", "incident_link")
# A batch says which version it goes by when it reads it; a trigger spares every statement from naming it.
STAMP = """
CREATE FUNCTION stamp_catalog_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.catalog_version := coalesce(nullif(current_setting('em.catalog_version', true), ''), '0')::bigint;
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    op.execute(CATALOG_VERSION)
    op.execute(STAMP)
    for table in DERIVED:
        op.execute(f"ALTER TABLE {table} ADD COLUMN catalog_version bigint NOT NULL DEFAULT 0")
        op.execute(
            f"CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION stamp_catalog_version()"
        )
