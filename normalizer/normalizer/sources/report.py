"""Reports of deployments and incidents by whoever holds a token, or by a CI's run in its own name."""

import hashlib
from typing import Any

from normalizer.disposition import Disposition, Events, Untranslatable
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import (
    Deployment,
    DeploymentFinished,
    DeploymentStarted,
    Incident,
    IncidentOpened,
    IncidentResolved,
)
from shared.contracts.reports import DeploymentReport, IncidentReport, Unreadable, read_claims, read_report

INCIDENTS: dict[str, type[Incident]] = {"opened": IncidentOpened, "resolved": IncidentResolved}


def translate(delivery: RawDelivery) -> Disposition:
    """ingest refuses what can't be read; what an older ingest let through is dead. Raises Untranslatable."""
    try:
        report = read_report(delivery.body, delivery.name)
    except Unreadable as error:
        raise Untranslatable(str(error)) from None
    if isinstance(report, IncidentReport):
        return Events((_incident(report, delivery),))
    return Events((_deployment(report, delivery),))


def _deployment(report: DeploymentReport, delivery: RawDelivery) -> Deployment:
    """Without a time of its own it happened when it came."""
    told_at = report.finished_at if report.outcome else report.started_at
    repository, sha = _own(report)
    common: dict[str, Any] = {
        "occurred_at": told_at or delivery.received_at,
        "time_is_received": told_at is None,
        "repository": repository,
        "deployment_id": report.id or _identity(report, delivery),
        "environment": report.environment,
        "sha": sha,
        "service_name": report.service or "",
        "url": report.url or "",
        "actor": read_claims(delivery.name).get("actor", ""),
        "creator": read_claims(delivery.name).get("actor", ""),
        "ref": read_claims(delivery.name).get("ref", ""),
        "commits": report.commits,
        "changes": tuple(change for change in report.changes if isinstance(change, int)),
        "other_changes": tuple(change for change in report.changes if isinstance(change, str)),
        "revisions": {name: of for name, of in report.revisions.items() if name != repository},
    }
    if report.outcome:
        return DeploymentFinished(outcome=report.outcome, platform_outcome=report.outcome, **common)
    return DeploymentStarted(**common)


def _own(report: DeploymentReport) -> tuple[str, str]:
    """Repository and commit; of several where none is called its own, the first."""
    repository = report.repository or ""
    if not repository and not report.sha:
        repository = next(iter(report.revisions), "")
    return repository, report.sha or report.revisions.get(repository, "")


def _identity(report: DeploymentReport, delivery: RawDelivery) -> str:
    """What its beginning and its end have in common, and no other deployment: the run, or the moment it started."""
    run = read_claims(delivery.name)
    started = report.started_at.isoformat() if report.started_at else ""
    if not run.get("run") and not started:
        return delivery.delivery
    what = (report.service, report.repository, report.environment, report.sha)
    parts = (*what, run.get("run"), run.get("attempt"), started)
    return hashlib.sha256("\x00".join(part or "" for part in parts).encode()).hexdigest()[:32]


def _incident(report: IncidentReport, delivery: RawDelivery) -> Incident:
    at = report.at or delivery.received_at
    return INCIDENTS[report.status](
        occurred_at=at,
        time_is_received=report.at is None,
        incident_id=report.id,
        title=report.title or f"{report.service}: {report.id}",
        status=report.status,
        urgency=report.severity or "",
        service_name=report.service,
        opened_at=at if report.status == "opened" else None,
        url=report.url or "",
        caused_by=report.caused_by or "",
    )
