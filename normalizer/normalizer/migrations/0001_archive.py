"""The archive: one row per delivery for good, its body in monthly partitions that can be dropped."""

from alembic import op

revision = "0001"
down_revision = None

DELIVERY = """
CREATE TABLE delivery (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    delivery text NOT NULL,
    sha256 text NOT NULL,
    event text NOT NULL,
    origin text NOT NULL,
    stream_sequence bigint NOT NULL,
    received_at timestamptz NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT now(),
    bytes integer NOT NULL,
    disposition text NOT NULL CHECK (disposition IN ('events', 'ignored', 'dead')),
    reason text NOT NULL DEFAULT '',
    events integer NOT NULL DEFAULT 0,
    UNIQUE (source, delivery, sha256)
)
"""
BY_SEQUENCE = "CREATE INDEX delivery_stream_sequence ON delivery (stream_sequence)"
# The key stands on `delivery` alone: unique on a partitioned table would have to hold the month, and a redelivery
# across a month's border would be archived twice.
BODY = """
CREATE TABLE body (
    delivery_id bigint NOT NULL,
    received_at timestamptz NOT NULL,
    content_type text NOT NULL DEFAULT '',
    body bytea,
    body_sha256 text NOT NULL,
    PRIMARY KEY (received_at, delivery_id)
) PARTITION BY RANGE (received_at)
"""
BODY_DEFAULT = "CREATE TABLE body_default PARTITION OF body DEFAULT"


def upgrade() -> None:
    for statement in (DELIVERY, BY_SEQUENCE, BODY, BODY_DEFAULT):
        op.execute(statement)
