"""Rebuilds: the archive is translated again for one service, page by page, from where it stopped."""

from alembic import op

revision = "0004"
down_revision = "0003"

REBUILD = """
CREATE TABLE rebuild (
    job bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service text NOT NULL,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'said', 'done', 'abandoned')),
    archive_id bigint NOT NULL DEFAULT 0,
    deliveries bigint NOT NULL DEFAULT 0,
    events bigint NOT NULL DEFAULT 0,
    untranslatable bigint NOT NULL DEFAULT 0,
    begun_at timestamptz NOT NULL DEFAULT now()
)
"""
ONE_AT_A_TIME = "CREATE UNIQUE INDEX rebuild_open ON rebuild (service) WHERE state IN ('running', 'said')"


def upgrade() -> None:
    op.execute(REBUILD)
    op.execute(ONE_AT_A_TIME)
