"""What people ask in chat, until it is answered."""

from alembic import op

revision = "0013"
down_revision = "0012"

# Whoever answers one moves its `due_at` on: a lease.
QUESTION = """
CREATE TABLE question (
    id text PRIMARY KEY,
    team text NOT NULL,
    channel text NOT NULL,
    slack_user text NOT NULL,
    person text NOT NULL,
    words text NOT NULL,
    origin text NOT NULL,
    received_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL DEFAULT now()
)
"""
DUE = "CREATE INDEX question_due ON question (due_at)"


def upgrade() -> None:
    for statement in (QUESTION, DUE):
        op.execute(statement)
