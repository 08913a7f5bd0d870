"""What was reviewed on a day, and by whom: a long window reads days instead of reviews."""

from alembic import op

revision = "0024"
down_revision = "0023"

# `days`: on which, in UTC, the review was ever said to be.
DAYS = (
    "ALTER TABLE review ADD COLUMN days date[] NOT NULL DEFAULT '{}'",
    "UPDATE review SET days = ARRAY[(occurred_at AT TIME ZONE 'UTC')::date]",
)
# The repository is the middle of a change's name: `store.reviewed` names it word for word.
REPOSITORY = "substring(change FROM '^[^:]*:(.*):[^:]*$')"
INDEX = (
    f"CREATE INDEX review_of_repository ON review (({REPOSITORY}), occurred_at) INCLUDE (change, author, author_kind,"
    " source) WHERE id NOT LIKE 'comment %'"
)
# A day in UTC of a repository of a service: how many reviews each has done, as a list of
# [platform, reviewer, their kind, reviews].
REVIEWED_DAY = """
CREATE TABLE reviewed_day (
    service text NOT NULL,
    day date NOT NULL,
    repository text NOT NULL,
    reviews jsonb NOT NULL,
    PRIMARY KEY (service, day, repository)
)
"""
FILL = """
INSERT INTO reviewed_day
SELECT service, day, repository, jsonb_agg(jsonb_build_array(source, author, author_kind, done)
                                           ORDER BY source, author, author_kind)
FROM (
    SELECT f.service, (r.occurred_at AT TIME ZONE 'UTC')::date AS day, f.repository, r.source, r.author, r.author_kind,
           count(*) AS done
    FROM review r JOIN change_flow f ON f.change = r.change JOIN change c ON c.id = r.change
    WHERE r.id NOT LIKE 'comment %' AND (f.ended_at IS NULL OR r.occurred_at <= f.ended_at + interval '720 hours')
      AND lower(r.author) IS DISTINCT FROM lower(nullif(c.author, ''))
    GROUP BY 1, 2, 3, 4, 5, 6
) AS counted
GROUP BY service, day, repository
"""


def upgrade() -> None:
    for statement in (*DAYS, INDEX, REVIEWED_DAY, FILL):
        op.execute(statement)
