"""Messages that notifier was asked for, and what became of them."""

from alembic import op

revision = "0014"
down_revision = "0013"

NUDGE = """
CREATE TABLE nudge (
    id text PRIMARY KEY,
    state text NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'shown', 'dry_run', 'dead', 'held')),
    channel text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    asked_at timestamptz NOT NULL DEFAULT now()
)
"""


def upgrade() -> None:
    op.execute(NUDGE)
