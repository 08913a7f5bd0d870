"""Views tell of which team each thing is by the time at which it happened."""

from alembic import op

revision = "0018"
down_revision = "0017"

# Until when which team had the service, oldest first; `team` has it since the last of these.
EARLIER = """
ALTER TABLE service
    ADD COLUMN earlier_teams text[] NOT NULL DEFAULT '{}',
    ADD COLUMN handed_over_at timestamptz[] NOT NULL DEFAULT '{}'
"""


def team_at(moment: str) -> str:
    """SQL; of a row of `service` called `s`. Empty where there is no moment, or nobody had it."""
    earlier = f"s.earlier_teams[width_bucket({moment}, s.handed_over_at) + 1]"
    return f"CASE WHEN {moment} IS NULL THEN '' ELSE coalesce({earlier}, s.team, '') END"


DAY = "(b.day::timestamp AT TIME ZONE 'UTC')"
FLOW_DAY = "(e.day::timestamp AT TIME ZONE 'UTC')"
DAILY = f"""
CREATE OR REPLACE VIEW v_dora_daily AS
SELECT b.service, {team_at(DAY)} AS team, b.environment, b.day, b.deployments, b.failed, b.rework,
       b.failed::float8 / nullif(b.deployments, 0) AS change_fail_rate,
       b.rework::float8 / nullif(b.deployments, 0) AS deployment_rework_rate,
       b.lead_n, b.lead_p50_s, b.recovery_n, b.recovery_p50_s
FROM bucket b LEFT JOIN service s ON s.name = b.service
"""  # noqa: S608  # constants
DEPLOYMENTS = f"""
CREATE OR REPLACE VIEW v_deployments AS
SELECT d.id, d.service, {team_at("d.finished_at")} AS team, f.source, d.repository, d.environment, d.sha, f.url,
       f.creator, f.started_at, d.finished_at, d.kind, d.kind <> 'redeploy' AS counts, d.seed, d.failed,
       d.failed_because, d.recovered_at, extract(epoch FROM d.recovered_at - d.finished_at)::float8 AS recovery_s,
       d.remediates, f.delivery, {team_at("d.recovered_at")} AS recovered_team
FROM production_deployment d JOIN deployment f ON f.id = d.id LEFT JOIN service s ON s.name = d.service
"""  # noqa: S608  # constants
CHANGES = f"""
CREATE OR REPLACE VIEW v_changes AS
SELECT c.id, l.service, {team_at("l.merged_at")} AS team, c.repository, c.number, c.title, c.author, c.author_kind,
       c.labels, c.url, c.opened_at, l.first_commit_at, l.merged_at, l.deployment, l.deployed_at, l.lead_time_s,
       l.method AS link_method, round(l.confidence::numeric, 2)::float8 AS link_confidence, l.reverts, c.delivery,
       {team_at("l.deployed_at")} AS deployed_team
FROM change_link l JOIN change c ON c.id = l.change LEFT JOIN service s ON s.name = l.service
"""  # noqa: S608  # constants
INCIDENTS = f"""
CREATE OR REPLACE VIEW v_incidents AS
SELECT i.id, l.service, {team_at("l.opened_at")} AS team, i.source, i.title, i.urgency, i.status, i.url, l.opened_at,
       l.resolved_at, extract(epoch FROM l.resolved_at - l.opened_at)::float8 AS recovery_s, l.deployment,
       l.method AS link_method, round(l.confidence::numeric, 2)::float8 AS link_confidence, i.delivery,
       {team_at("l.resolved_at")} AS resolved_team
FROM incident_link l JOIN incident i ON i.id = l.incident LEFT JOIN service s ON s.name = l.service
WHERE l.service IS NOT NULL OR i.rule IS NULL
"""  # noqa: S608  # constants
QUALITY = f"""
CREATE OR REPLACE VIEW v_quality AS
SELECT (q.occurred_at AT TIME ZONE 'UTC')::date AS day, r.service, q.source, q.project, q.repository, q.branch,
       (array_agg(q.coverage ORDER BY q.occurred_at DESC, q.id DESC) FILTER (WHERE q.coverage IS NOT NULL))[1]
           AS coverage,
       (array_agg(q.gate ORDER BY q.occurred_at DESC, q.id DESC) FILTER (WHERE q.gate <> ''))[1] AS gate,
       count(*) AS reports, {team_at("q.occurred_at")} AS team
FROM quality q LEFT JOIN repository r ON r.name = q.repository LEFT JOIN service s ON s.name = r.service
WHERE q.branch <> ''
GROUP BY 1, 2, 3, 4, 5, 6, 10
"""  # noqa: S608  # constants
FLOW = f"""
CREATE OR REPLACE VIEW v_flow_daily AS
SELECT e.service, {team_at(FLOW_DAY)} AS team, e.day,
       (count(*) FILTER (WHERE e.what = 'merge'))::int AS merged,
       (count(*) FILTER (WHERE e.what = 'merge' AND e.size = 'XS'))::int AS merged_xs,
       (count(*) FILTER (WHERE e.what = 'merge' AND e.size = 'S'))::int AS merged_s,
       (count(*) FILTER (WHERE e.what = 'merge' AND e.size = 'M'))::int AS merged_m,
       (count(*) FILTER (WHERE e.what = 'merge' AND e.size = 'L'))::int AS merged_l,
       (count(*) FILTER (WHERE e.what = 'merge' AND e.size = 'XL'))::int AS merged_xl,
       (count(e.seconds) FILTER (WHERE e.what = 'pickup'))::int AS pickup_n,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY e.seconds) FILTER (WHERE e.what = 'pickup') AS pickup_p50_s,
       (count(e.seconds) FILTER (WHERE e.what = 'review'))::int AS review_n,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY e.seconds) FILTER (WHERE e.what = 'review') AS review_p50_s,
       (count(e.seconds) FILTER (WHERE e.what = 'cycle'))::int AS cycle_n,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY e.seconds) FILTER (WHERE e.what = 'cycle') AS cycle_p50_s
FROM (
    SELECT f.service, (f.merged_at AT TIME ZONE 'UTC')::date AS day, 'merge' AS what, f.size, NULL::float8 AS seconds
    FROM change_flow f WHERE f.merged_at IS NOT NULL
    UNION ALL
    SELECT f.service, (f.first_review_at AT TIME ZONE 'UTC')::date, 'pickup', '',
           extract(epoch FROM f.first_review_at - f.ready_at)::float8
    FROM change_flow f WHERE f.first_review_at >= f.ready_at
    UNION ALL
    SELECT f.service, (f.approved_at AT TIME ZONE 'UTC')::date, 'review', '',
           extract(epoch FROM f.approved_at - f.first_review_at)::float8
    FROM change_flow f WHERE f.approved_at >= f.first_review_at
    UNION ALL
    SELECT l.service, (l.deployed_at AT TIME ZONE 'UTC')::date, 'cycle', '', l.lead_time_s
    FROM change_link l WHERE l.lead_time_s IS NOT NULL
) AS e LEFT JOIN service s ON s.name = e.service
GROUP BY 1, 2, 3
"""  # noqa: S608  # constants
COMMENTS = {
    "v_dora_daily.team": "The team that had the service on the day.",
    "v_flow_daily.team": "The team that had the service on the day; empty where the catalog names none.",
    "v_deployments.team": "The team that had the service when the deployment finished.",
    "v_deployments.recovered_team": "The team that had it when the deployment recovered, whose recovery time it is.",
    "v_changes.team": "The team that had the service when the change was merged.",
    "v_changes.deployed_team": "The team that had it when the change was deployed, whose lead time it is.",
    "v_incidents.team": "The team that had the service when the incident opened.",
    "v_incidents.resolved_team": "The team that had it when the incident was resolved, whose recovery time it is.",
    "v_quality.team": "The team that had the service when it was reported.",
}


def upgrade() -> None:
    for statement in (EARLIER, DAILY, DEPLOYMENTS, CHANGES, INCIDENTS, QUALITY, FLOW):
        op.execute(statement)
    for column, told in COMMENTS.items():
        op.execute(f"COMMENT ON COLUMN {column} IS '{told}'")
