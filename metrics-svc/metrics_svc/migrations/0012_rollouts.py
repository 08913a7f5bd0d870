"""A timeline per environment; what is set aside of a rollout, and why; commits that only merge."""

from alembic import op

revision = "0012"
down_revision = "0011"

TIMELINE = (
    "DROP INDEX timeline",
    "DROP INDEX timeline_sha",
    "CREATE INDEX timeline ON production_deployment (service, repository, environment, finished_at, id)",
    "CREATE INDEX timeline_sha ON production_deployment (service, repository, environment, sha, finished_at, id)",
)
# `sha` is the one that it stood with when it was set aside.
SET_ASIDE = (
    "ALTER TABLE not_authoritative RENAME TO set_aside",
    "ALTER INDEX not_authoritative_pkey RENAME TO set_aside_pkey",
    "ALTER INDEX not_authoritative_finished RENAME TO set_aside_finished",
    """
    ALTER TABLE set_aside
        ADD COLUMN sha text NOT NULL DEFAULT '',
        ADD COLUMN reason text NOT NULL DEFAULT 'not_authoritative'
            CHECK (reason IN ('not_authoritative', 'other_regions'))
    """,
    "UPDATE set_aside a SET sha = f.commit_sha FROM deployment f WHERE f.id = a.id",
)


def upgrade() -> None:
    for statement in (*TIMELINE, *SET_ASIDE):
        op.execute(statement)
    op.execute("ALTER TABLE commit ADD COLUMN merge boolean NOT NULL DEFAULT false")
