"""Until when a rule of signals proposes nothing more of the same."""

from alembic import op

revision = "0016"
down_revision = "0015"

COOLDOWN = """
CREATE TABLE cooldown (
    rule text NOT NULL,
    entity text NOT NULL,
    until timestamptz NOT NULL,
    PRIMARY KEY (rule, entity)
)
"""


def upgrade() -> None:
    op.execute(COOLDOWN)
