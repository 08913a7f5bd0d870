"""Which places in RAW hold a delivery that was archived under an earlier one: so that no place is unaccounted for."""

from alembic import op

revision = "0003"
down_revision = "0002"

DUPLICATE = """
CREATE TABLE duplicate (
    stream_sequence bigint PRIMARY KEY,
    delivery_id bigint NOT NULL REFERENCES delivery (id),
    seen_at timestamptz NOT NULL DEFAULT now()
)
"""


def upgrade() -> None:
    op.execute(DUPLICATE)
