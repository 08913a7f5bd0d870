"""What was told of weeks."""

from alembic import op

revision = "0011"
down_revision = "0010"

TOLD_WEEK = """
CREATE TABLE told_week (
    week date PRIMARY KEY,
    told_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""
# A metric of a service has another level since the Monday `since`.
TOLD_SHIFT = """
CREATE TABLE told_shift (
    service text NOT NULL,
    metric text NOT NULL,
    since date NOT NULL,
    PRIMARY KEY (service, metric, since)
)
"""


def upgrade() -> None:
    for statement in (TOLD_WEEK, TOLD_SHIFT):
        op.execute(statement)
