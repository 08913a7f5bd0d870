"""What came after a decision, as far as it was known at a moment."""

from datetime import datetime, timedelta
from typing import Any

from approvals_svc.evidence import service_of
from approvals_svc.model import Approval
from approvals_svc.precedents import Aftermath
from shared.catalog import Catalog
from shared.db import Connection

FOLLOWING_MAX = 50
INCIDENTS_MAX = 500


async def aftermath(
    tx: Connection, approval: Approval, catalog: Catalog, *, window: timedelta, as_of: datetime
) -> Aftermath:
    deployment = await _deployment(tx, approval, as_of)
    if deployment is None:
        return Aftermath()
    place = (approval.subject.repository, approval.subject.environment)
    until = min(deployment["finished_at"] + window, as_of)
    return Aftermath(
        deployment=deployment,
        following=await _following(tx, *place, deployment, until, as_of),
        before=await _before(tx, *place, deployment),
        incidents=[
            incident
            for incident in await _incidents(tx, deployment["finished_at"], until, as_of)
            if service_of(incident, catalog) == approval.subject.service
        ],
    )


async def _deployment(tx: Connection, approval: Approval, as_of: datetime) -> dict[str, Any] | None:
    """The one that waited, else the first of that commit in that place."""
    subject = approval.subject
    row = await tx.fetchrow(
        """
        SELECT deployment_id, sha, ref, outcome, finished_at, rollback FROM deployment
        WHERE repository = $1 AND environment = $2 AND finished_at >= $3 AND finished_at <= $6 AND known_at <= $6
          AND (deployment_id = $4 OR (sha = $5 AND sha <> ''))
        ORDER BY deployment_id = $4 DESC, finished_at LIMIT 1
        """,
        *(subject.repository, subject.environment, approval.decided_at or approval.created_at),
        *(str(subject.payload.get("deployment_id", "")), subject.sha, as_of),
    )
    return dict(row) if row else None


async def _following(
    tx: Connection, repository: str, environment: str, deployment: dict[str, Any], until: datetime, as_of: datetime
) -> list[dict[str, Any]]:
    rows = await tx.fetch(
        """
        SELECT deployment_id, sha, ref, finished_at, rollback FROM deployment
        WHERE repository = $1 AND environment = $2 AND finished_at > $3 AND finished_at <= $4 AND known_at <= $5
          AND outcome = 'succeeded'
        ORDER BY finished_at, deployment_id LIMIT $6
        """,
        *(repository, environment, deployment["finished_at"], until, as_of, FOLLOWING_MAX),
    )
    return [dict(row) for row in rows]


async def _before(tx: Connection, repository: str, environment: str, deployment: dict[str, Any]) -> str:
    """What ran there until then."""
    sha = await tx.fetchval(
        """
        SELECT sha FROM deployment
        WHERE repository = $1 AND environment = $2 AND finished_at < $3 AND outcome = 'succeeded' AND sha <> $4
        ORDER BY finished_at DESC, deployment_id DESC LIMIT 1
        """,
        *(repository, environment, deployment["finished_at"], deployment["sha"]),
    )
    return str(sha or "")


async def _incidents(tx: Connection, since: datetime, until: datetime, as_of: datetime) -> list[dict[str, Any]]:
    """Of all services: which is whose is asked of the catalog."""
    rows = await tx.fetch(
        """
        SELECT source, incident_id, rule, service_id, service_name, caused_by, opened_at,
            (SELECT min(at) FROM recovery AS r
             WHERE r.source = i.source AND r.incident_id = i.incident_id AND r.rule = i.rule
               AND r.at >= i.opened_at AND r.at <= $3 AND r.known_at <= $3) AS recovered_at
        FROM incident AS i WHERE opened_at >= $1 AND opened_at <= $2 AND known_at <= $3
        ORDER BY rule <> '', opened_at, incident_id LIMIT $4
        """,
        *(since, until, as_of, INCIDENTS_MAX),
    )
    return [dict(row) for row in rows]
