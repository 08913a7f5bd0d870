"""Deployments by platforms that know an application and no repository, and several reports of one rollout."""

from alembic import op

revision = "0004"
down_revision = "0003"

NOT_AUTHORITATIVE = """
CREATE TABLE not_authoritative (
    id text PRIMARY KEY,
    service text NOT NULL,
    finished_at timestamptz NOT NULL,
    catalog_version bigint NOT NULL DEFAULT 0
)
"""


def upgrade() -> None:
    for column in ("service_name", "origin"):
        op.execute(f"ALTER TABLE deployment ADD COLUMN {column} text NOT NULL DEFAULT ''")
    op.execute("UPDATE deployment SET origin = repository")
    op.execute("DROP INDEX deployment_finished")
    op.execute("CREATE INDEX deployment_finished ON deployment (origin, finished_at) WHERE outcome = 'succeeded'")
    op.execute("CREATE INDEX deployment_sha ON deployment (sha) WHERE outcome = 'succeeded' AND sha <> ''")
    op.execute(NOT_AUTHORITATIVE)
    op.execute("CREATE INDEX not_authoritative_finished ON not_authoritative (service, finished_at)")
    op.execute(
        "CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON not_authoritative"
        " FOR EACH ROW EXECUTE FUNCTION stamp_catalog_version()"
    )
