"""What a week was like, told to a team."""

from alembic import op

revision = "0007"
down_revision = "0006"

SUMMARIES = """
ALTER TABLE thing
    DROP CONSTRAINT thing_kind_check,
    ADD CONSTRAINT thing_kind_check CHECK (kind IN ('deployment', 'incident', 'approval', 'nudge', 'summary'))
"""


def upgrade() -> None:
    op.execute(SUMMARIES)
