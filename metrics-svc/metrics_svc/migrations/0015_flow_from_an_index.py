"""What flow metrics read of changes stands in one index, lines changed among it."""

from alembic import op

revision = "0015"
down_revision = "0014"

LINES = (
    "ALTER TABLE change_flow ADD COLUMN lines integer",
    "UPDATE change_flow f SET lines = c.additions + c.deletions FROM change c WHERE c.id = f.change",
)
# One instead of one per moment: what moved in a window is open still or ended since its start.
INDEXES = (
    "DROP INDEX change_flow_ended",
    "DROP INDEX change_flow_merged",
    "DROP INDEX change_flow_first_review",
    "CREATE INDEX change_flow_ended ON change_flow (service, ended_at) INCLUDE (change, author_class, ready_at,"
    " first_review_at, approved_at, last_activity_at, merged_at, review_rounds, lines)",
    "CREATE INDEX review_of_change ON review (change) INCLUDE (occurred_at, author, author_kind, source)"
    " WHERE id NOT LIKE 'comment %'",
    "CREATE INDEX change_author ON change (id) INCLUDE (author)",
)


def upgrade() -> None:
    for statement in (*LINES, *INDEXES):
        op.execute(statement)
