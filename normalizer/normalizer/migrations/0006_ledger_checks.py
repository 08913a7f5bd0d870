"""What `em watch` and `em reconcile` found at last, for metrics that a person can be woken by."""

from alembic import op

revision = "0006"
down_revision = "0005"

LEDGER_CHECK = """
CREATE TABLE ledger_check (
    part text PRIMARY KEY,
    mismatch bigint NOT NULL,
    checked_at timestamptz NOT NULL
)
"""


def upgrade() -> None:
    op.execute(LEDGER_CHECK)
