"""What people want of us."""

from alembic import op

revision = "0016"
down_revision = "0015"

# `recipient`: a Slack user. Who said nothing is mentioned and told directly.
PREFERENCE = """
CREATE TABLE preference (
    recipient text PRIMARY KEY,
    mentions boolean NOT NULL DEFAULT true,
    dms boolean NOT NULL DEFAULT true
)
"""


def upgrade() -> None:
    op.execute(PREFERENCE)
