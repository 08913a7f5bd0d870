"""How a card is gone on with: where its notes go, when it is told again; and files that pushes touched, for routes."""

from alembic import op

revision = "0015"
down_revision = "0014"

THREAD = "ADD thread text NOT NULL DEFAULT 'thread' CHECK (thread IN ('thread', 'flat', 'broadcast'))"
# `repeat_at`: when somebody is reminded of what still stands as it stood.
MESSAGE = f"ALTER TABLE message {THREAD}, ADD repeat_s float8, ADD repeat_at timestamptz"
REPEAT = "CREATE INDEX message_repeat ON message (repeat_at) WHERE repeat_at IS NOT NULL"
GATHERED = f"ALTER TABLE gathered {THREAD}, ADD repeat_s float8"
PUSHED = """
CREATE TABLE pushed (
    repository text NOT NULL,
    branch text NOT NULL,
    files text[] NOT NULL,
    pushed_at timestamptz NOT NULL,
    PRIMARY KEY (repository, branch)
)
"""
PUSHED_TIME = "CREATE INDEX pushed_time ON pushed (pushed_at)"


def upgrade() -> None:
    for statement in (MESSAGE, REPEAT, GATHERED, PUSHED, PUSHED_TIME):
        op.execute(statement)
