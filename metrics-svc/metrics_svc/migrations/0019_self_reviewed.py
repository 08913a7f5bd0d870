"""Who reviews a change of their own is looked for in those changes alone that say so."""

from alembic import op

revision = "0019"
down_revision = "0018"

REVIEWED = """
UPDATE change_flow f SET self_reviewed = true FROM change c
WHERE c.id = f.change AND EXISTS (
    SELECT FROM review r WHERE r.change = f.change AND r.id NOT LIKE 'comment %' AND lower(r.author) = lower(c.author))
"""
INDEXES = (
    "DROP INDEX change_author",
    "DROP INDEX change_flow_ended",
    "CREATE INDEX change_flow_ended ON change_flow (service, ended_at) INCLUDE (change, author_class, self_reviewed,"
    " ready_at, first_review_at, approved_at, last_activity_at, merged_at, review_rounds, lines)",
)


def upgrade() -> None:
    op.execute("ALTER TABLE change_flow ADD COLUMN self_reviewed boolean NOT NULL DEFAULT false")
    for statement in (REVIEWED, *INDEXES):
        op.execute(statement)
