"""What happened to incidents, row by row."""

from alembic import op

revision = "0012"
down_revision = "0011"

INCIDENT_ROW = """
CREATE TABLE incident_row (
    thing text NOT NULL,
    id text NOT NULL,
    at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    who text NOT NULL,
    said text NOT NULL,
    PRIMARY KEY (thing, id)
)
"""


def upgrade() -> None:
    op.execute(INCIDENT_ROW)
