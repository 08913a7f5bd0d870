"""Which lists were posted on which day, so that each is told once."""

from alembic import op

revision = "0023"
down_revision = "0022"

TOLD_DAY = """
CREATE TABLE told_day (
    about text NOT NULL,
    team text NOT NULL,
    day date NOT NULL,
    PRIMARY KEY (about, team, day)
)
"""


def upgrade() -> None:
    op.execute(TOLD_DAY)
