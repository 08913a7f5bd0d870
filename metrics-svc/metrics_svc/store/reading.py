"""Reading what was shipped in a window, with what made each number and what was left out."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

from asyncpg import Record

from metrics_svc.answers import Delivery, LeftOut
from metrics_svc.dora import Change, Deployment, Incident
from metrics_svc.window import Window
from shared.catalog import Catalog
from shared.db import Connection


async def now(tx: Connection) -> datetime:
    moment: datetime = await tx.fetchval("SELECT clock_timestamp()")
    return moment


async def services(tx: Connection, catalog: Catalog) -> list[str]:
    """Names of all that are in the catalog or have sent something."""
    rows = await tx.fetch("SELECT DISTINCT service FROM repository")
    return sorted({row["service"] for row in rows} | {service.name for service in catalog.services})


async def delivery(
    tx: Connection, services: Sequence[str], window: Window, *, environment: str | None = None
) -> Delivery:
    """Deployments of these services that finished or recovered in the window, in the order they finished."""
    found = await _deployments(tx, services, window, environment)
    ids = [row["id"] for row in found]
    changes, incidents = await _changes(tx, ids), await _incidents(tx, ids)
    deployments: dict[str, list[Deployment]] = defaultdict(list)
    for row in found:
        fields = dict(row)
        service = fields.pop("service")
        deployments[service].append(
            Deployment(**fields, changes=changes.get(row["id"], ()), incidents=incidents.get(row["id"], ()))
        )
    left_out = await _left_out(tx, services, window)
    return Delivery(
        deployments=deployments,
        left_out={row["service"]: _left_out_of(row) for row in left_out if row["service"] is not None},
        incidents_without_service=sum(row["unlinked_incidents"] for row in left_out if row["service"] is None),
    )


async def _deployments(
    tx: Connection, services: Sequence[str], window: Window, environment: str | None
) -> list[Record]:
    return await tx.fetch(
        """
        WITH wanted AS (
            SELECT id FROM production_deployment
            WHERE service = ANY($1) AND finished_at >= $2 AND finished_at < $3
            UNION
            SELECT id FROM production_deployment
            WHERE service = ANY($1) AND recovered_at >= $2 AND recovered_at < $3
        )
        SELECT d.service, d.id, f.source, d.repository, f.deployment_id, d.environment, d.sha, d.finished_at, d.kind,
               d.seed, d.failed, d.failed_because, d.recovered_at, d.remediates, f.delivery
        FROM wanted JOIN production_deployment d USING (id) JOIN deployment f USING (id)
        WHERE $4::text IS NULL OR d.environment = $4
        ORDER BY d.finished_at, d.id
        """,
        services,
        window.start,
        window.end,
        environment,
    )


async def _changes(tx: Connection, deployments: Sequence[str]) -> dict[str, list[Change]]:
    rows = await tx.fetch(
        """
        SELECT l.deployment, c.id, c.repository, c.number, c.title, l.merged_at, l.first_commit_at, l.lead_time_s,
               l.method, round(l.confidence::numeric, 2)::float8 AS confidence, c.delivery
        FROM change_link l JOIN change c ON c.id = l.change
        WHERE l.deployment = ANY($1) ORDER BY l.position, c.id
        """,
        deployments,
    )
    changes: dict[str, list[Change]] = defaultdict(list)
    for row in rows:
        fields = dict(row)
        changes[fields.pop("deployment")].append(Change(**fields))
    return changes


async def _incidents(tx: Connection, deployments: Sequence[str]) -> dict[str, list[Incident]]:
    rows = await tx.fetch(
        """
        SELECT l.deployment, i.id, i.title, l.opened_at, l.resolved_at, l.method,
               round(l.confidence::numeric, 2)::float8 AS confidence, i.delivery
        FROM incident_link l JOIN incident i ON i.id = l.incident
        WHERE l.deployment = ANY($1) ORDER BY l.opened_at, i.id
        """,
        deployments,
    )
    incidents: dict[str, list[Incident]] = defaultdict(list)
    for row in rows:
        fields = dict(row)
        incidents[fields.pop("deployment")].append(Incident(**fields))
    return incidents


async def _left_out(tx: Connection, services: Sequence[str], window: Window) -> list[Record]:
    """Per service; the row without a service counts the incidents that nobody can be asked about."""
    return await tx.fetch(
        """
        SELECT service, sum(changes)::int AS unlinked_changes, sum(incidents)::int AS unlinked_incidents,
               sum(deployments)::int AS unknown_environment
        FROM (
            SELECT service, count(*) AS changes, 0 AS incidents, 0 AS deployments FROM change_link
            WHERE deployment IS NULL AND service = ANY($1) AND merged_at >= $2 AND merged_at < $3 GROUP BY 1
            UNION ALL
            SELECT service, 0, count(*), 0 FROM incident_link
            WHERE deployment IS NULL AND (service = ANY($1) OR service IS NULL) AND opened_at >= $2 AND opened_at < $3
            GROUP BY 1
            UNION ALL
            SELECT r.service, 0, 0, count(*) FROM repository r
            JOIN deployment f ON f.repository = r.name AND f.outcome = 'succeeded'
            WHERE r.service = ANY($1) AND f.finished_at >= $2 AND f.finished_at < $3
              AND NOT EXISTS (SELECT FROM production_deployment d WHERE d.id = f.id)
            GROUP BY 1
        ) AS counted GROUP BY service
        """,
        services,
        window.start,
        window.end,
    )


def _left_out_of(row: Record) -> LeftOut:
    return LeftOut(
        unlinked_changes=row["unlinked_changes"],
        unlinked_incidents=row["unlinked_incidents"],
        unknown_environment=row["unknown_environment"],
    )
