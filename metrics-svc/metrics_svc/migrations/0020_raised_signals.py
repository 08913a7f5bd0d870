"""Which signals are raised, so that each is told when it is."""

from alembic import op

revision = "0020"
down_revision = "0019"

RAISED_SIGNAL = """
CREATE TABLE raised_signal (
    kind text NOT NULL,
    subject text NOT NULL,
    told_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (kind, subject)
)
"""


def upgrade() -> None:
    op.execute(RAISED_SIGNAL)
