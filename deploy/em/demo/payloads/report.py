"""Reports of a script that rolls out by itself, by docs/sources/report.md."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from em.demo.facts import Change, Deployment, Incident
from em.demo.payloads.github import iso

Json = dict[str, Any]

HEADERS = {"Content-Type": "application/json", "User-Agent": "curl/8.5.0"}
OUTCOMES = {"success": "succeeded", "failure": "failed"}


def deployment_id(deployment: Deployment) -> str:
    return f"{deployment.service.name}-{deployment.id}"


def started(deployment: Deployment) -> Json:
    service = deployment.service
    told: Json = {
        "report": "deployment",
        "id": deployment_id(deployment),
        "service": service.name,
        "repository": service.full_name,
        "environment": deployment.environment,
        "sha": deployment.sha,
        "started_at": iso(deployment.statuses[0][0]),
    }
    if deployment.revisions:
        told["revisions"] = dict(deployment.revisions)
    if deployment.listed:
        told["changes"] = [_change(change, deployment) for change in deployment.listed]
    return told


def finished(deployment: Deployment) -> Json:
    outcome = OUTCOMES[deployment.statuses[-1][1] if deployment.finished_at is None else "success"]
    return {**started(deployment), "outcome": outcome, "finished_at": iso(deployment.ended_at)}


def incident(incident: Incident) -> Iterator[tuple[Json, datetime]]:
    """It names the deployment that caused it, as whoever rolls out calls it."""
    for step, status in ((incident.steps[0], "opened"), (incident.steps[-1], "resolved")):
        told = {
            "report": "incident",
            "id": incident.id,
            "service": incident.service.name,
            "status": status,
            "severity": "high",
            "title": incident.title,
            "at": iso(step.at),
        }
        if incident.cause:
            told["caused_by"] = deployment_id(incident.cause)
        yield told, step.at


def _change(change: Change, deployment: Deployment) -> int | str:
    own = change.repository == deployment.service.full_name
    return change.number if own else f"{change.repository}#{change.number}"
