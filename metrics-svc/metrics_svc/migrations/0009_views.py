"""Views for SQL dashboards: stable columns, read by the role `grafana`."""

from alembic import op

revision = "0009"
down_revision = "0008"

DAILY = """
CREATE VIEW v_dora_daily AS
SELECT b.service, coalesce(s.team, '') AS team, b.environment, b.day, b.deployments, b.failed, b.rework,
       b.failed::float8 / nullif(b.deployments, 0) AS change_fail_rate,
       b.rework::float8 / nullif(b.deployments, 0) AS deployment_rework_rate,
       b.lead_n, b.lead_p50_s, b.recovery_n, b.recovery_p50_s
FROM bucket b LEFT JOIN service s ON s.name = b.service
"""
DEPLOYMENTS = """
CREATE VIEW v_deployments AS
SELECT d.id, d.service, coalesce(s.team, '') AS team, f.source, d.repository, d.environment, d.sha, f.url, f.creator,
       f.started_at, d.finished_at, d.kind, d.kind <> 'redeploy' AS counts, d.seed, d.failed, d.failed_because,
       d.recovered_at, extract(epoch FROM d.recovered_at - d.finished_at)::float8 AS recovery_s, d.remediates,
       f.delivery
FROM production_deployment d JOIN deployment f ON f.id = d.id LEFT JOIN service s ON s.name = d.service
"""
CHANGES = """
CREATE VIEW v_changes AS
SELECT c.id, l.service, coalesce(s.team, '') AS team, c.repository, c.number, c.title, c.author, c.author_kind,
       c.labels, c.url, c.opened_at, l.first_commit_at, l.merged_at, l.deployment, l.deployed_at, l.lead_time_s,
       l.method AS link_method, round(l.confidence::numeric, 2)::float8 AS link_confidence, l.reverts, c.delivery
FROM change_link l JOIN change c ON c.id = l.change LEFT JOIN service s ON s.name = l.service
"""
INCIDENTS = """
CREATE VIEW v_incidents AS
SELECT i.id, l.service, coalesce(s.team, '') AS team, i.source, i.title, i.urgency, i.status, i.url, l.opened_at,
       l.resolved_at, extract(epoch FROM l.resolved_at - l.opened_at)::float8 AS recovery_s, l.deployment,
       l.method AS link_method, round(l.confidence::numeric, 2)::float8 AS link_confidence, i.delivery
FROM incident_link l JOIN incident i ON i.id = l.incident LEFT JOIN service s ON s.name = l.service
WHERE l.service IS NOT NULL OR i.rule IS NULL
"""
COMMENTS = {
    "v_dora_daily": "Days in UTC of a service and production environment; sum the counts, never average the medians",
    "v_deployments": "Succeeded production deployments; those that count have counts = true",
    "v_changes": "Merged changes with the deployment that carried each; times in seconds",
    "v_incidents": "Incidents, and alerts that the catalog counts, with the deployment that caused each",
}
VIEWS = (*COMMENTS, "v_quality")
GRANT = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'grafana') THEN
        EXECUTE format('GRANT SELECT ON %s TO grafana', '{views}');
    END IF;
END $$
"""


def upgrade() -> None:
    for view in (DAILY, DEPLOYMENTS, CHANGES, INCIDENTS):
        op.execute(view)
    for name, told in COMMENTS.items():
        op.execute(f"COMMENT ON VIEW {name} IS '{told}'")
    op.execute(GRANT.replace("{views}", ", ".join(VIEWS)))
