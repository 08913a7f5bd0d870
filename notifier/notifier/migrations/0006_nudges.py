"""Messages that somebody asked for."""

from alembic import op

revision = "0006"
down_revision = "0005"

NUDGES = """
ALTER TABLE thing
    DROP CONSTRAINT thing_kind_check,
    ADD CONSTRAINT thing_kind_check CHECK (kind IN ('deployment', 'incident', 'approval', 'nudge'))
"""


def upgrade() -> None:
    op.execute(NUDGES)
