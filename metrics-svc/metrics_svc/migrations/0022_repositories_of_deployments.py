"""The view of deployments tells every repository that one brought."""

from alembic import op

revision = "0022"
down_revision = "0021"


def _team_at(moment: str) -> str:
    """As in migration 0018."""
    earlier = f"s.earlier_teams[width_bucket({moment}, s.handed_over_at) + 1]"
    return f"CASE WHEN {moment} IS NULL THEN '' ELSE coalesce({earlier}, s.team, '') END"


DEPLOYMENTS = f"""
CREATE OR REPLACE VIEW v_deployments AS
SELECT d.id, d.service, {_team_at("d.finished_at")} AS team, f.source, d.repository, d.environment, d.sha, f.url,
       f.creator, f.started_at, d.finished_at, d.kind, d.kind <> 'redeploy' AS counts, d.seed, d.failed,
       d.failed_because, d.recovered_at, extract(epoch FROM d.recovered_at - d.finished_at)::float8 AS recovery_s,
       d.remediates, f.delivery, {_team_at("d.recovered_at")} AS recovered_team,
       d.repository || ARRAY(SELECT p.repository FROM part p WHERE p.deployment = d.id ORDER BY 1) AS repositories
FROM production_deployment d JOIN deployment f ON f.id = d.id LEFT JOIN service s ON s.name = d.service
"""  # noqa: S608  # constants
COMMENTS = {
    "v_deployments.repository": "On whose timeline it stands: the first of its repositories.",
    "v_deployments.repositories": "All that it brought commits of, that one first, then by name.",
}


def upgrade() -> None:
    op.execute(DEPLOYMENTS)
    for column, told in COMMENTS.items():
        op.execute(f"COMMENT ON COLUMN {column} IS '{told}'")
