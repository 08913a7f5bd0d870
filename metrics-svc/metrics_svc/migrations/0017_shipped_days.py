"""What was shipped on a day, as its samples: a long window reads days instead of changes."""

from alembic import op

revision = "0017"
down_revision = "0016"

# A day in UTC of a service. Each list is seconds that ascend, packed as the eight bytes of `float8send`.
SHIPPED_DAY = """
CREATE TABLE shipped_day (
    service text NOT NULL,
    day date NOT NULL,
    lead_times bytea NOT NULL,
    commit_lead_times bytea NOT NULL,
    coding bytea NOT NULL,
    pickup bytea NOT NULL,
    review bytea NOT NULL,
    merge_wait bytea NOT NULL,
    deploy_queue bytea NOT NULL,
    deploy_run bytea NOT NULL,
    PRIMARY KEY (service, day)
)
"""
PACKED = "coalesce(string_agg(float8send({s}), '' ORDER BY {s}) FILTER (WHERE {s} >= 0), '')"
STAGES = (
    "date_part('epoch', f.ready_at - l.first_commit_at)",
    "date_part('epoch', f.first_review_at - f.ready_at)",
    "date_part('epoch', f.approved_at - f.first_review_at)",
    "date_part('epoch', l.merged_at - f.approved_at)",
    "date_part('epoch', s.started_at - l.merged_at)",
    "date_part('epoch', l.deployed_at - s.started_at)",
)
FILL = f"""
WITH shipped AS (
    SELECT *, (deployed_at AT TIME ZONE 'UTC')::date AS day FROM change_link
    WHERE deployment IS NOT NULL AND lead_time_s IS NOT NULL
), committed AS (
    SELECT l.service, l.day, {PACKED.format(s="took.s")} AS commit_lead_times
    FROM shipped l CROSS JOIN LATERAL unnest(l.commit_times) AS own(authored_at)
    CROSS JOIN LATERAL (SELECT date_part('epoch', l.deployed_at - own.authored_at) AS s) AS took
    GROUP BY l.service, l.day
)
INSERT INTO shipped_day
SELECT l.service, l.day, {PACKED.format(s="l.lead_time_s")},
       coalesce((SELECT c.commit_lead_times FROM committed c WHERE (c.service, c.day) = (l.service, l.day)), ''),
       {", ".join(PACKED.format(s=stage) for stage in STAGES)}
FROM shipped l JOIN change_flow f ON (f.change, f.service) = (l.change, l.service)
JOIN deployment s ON s.id = l.deployment
GROUP BY l.service, l.day
"""  # noqa: S608  # constants


def upgrade() -> None:
    op.execute(SHIPPED_DAY)
    op.execute(FILL)
