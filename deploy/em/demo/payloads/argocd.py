"""Argo CD's notifications, by the template of docs/sources/argocd.md: syncs of applications."""

from datetime import datetime
from typing import Any

from em.demo.cast import CONFIG_REPOSITORY, ORGANIZATION, Service, application
from em.demo.facts import Deployment, Sync
from em.demo.payloads.github import HTML_URL, iso

Json = dict[str, Any]

HEADERS = {"Content-Type": "application/json", "User-Agent": "Go-http-client/1.1"}
CONSOLE = "https://argocd.tidewater.example.com"


def uid(service: Service, environment: str) -> str:
    return f"{service.repository_id}-{environment}"


def synced(deployment: Deployment, sync: Sync, *, done: bool) -> Json:
    """The configuration's revision; which commit of the application it brings, only the image's tag says."""
    failed = done and not sync.succeeded
    return _body(
        deployment,
        sync.environment,
        repository=CONFIG_REPOSITORY,
        revision=sync.revision,
        started_at=sync.started_at,
        finished_at=sync.finished_at if done else None,
        phase="Failed" if failed else "Succeeded" if done else "Running",
        images=[f"ghcr.example.com/{ORGANIZATION}/{deployment.service.name}:main-{deployment.sha}"],
    )


def same(deployment: Deployment) -> Json:
    """The rollout that GitHub tells of, from the repository itself."""
    return _body(
        deployment,
        deployment.environment,
        repository=deployment.service.full_name,
        revision=deployment.sha,
        started_at=deployment.created_at,
        finished_at=deployment.ended_at,
        phase="Succeeded",
        images=[],
    )


def _body(
    deployment: Deployment,
    environment: str,
    *,
    repository: str,
    revision: str,
    started_at: datetime,
    finished_at: datetime | None,
    phase: str,
    images: list[str],
) -> Json:
    service = deployment.service
    operation = {"revision": revision}
    state: Json = {
        "phase": phase,
        "startedAt": iso(started_at),
        "message": "one or more objects failed to apply" if phase == "Failed" else "successfully synced",
        "operation": {"initiatedBy": {"username": deployment.creator.key}, "sync": operation},
    }
    if finished_at is not None:
        state |= {"finishedAt": iso(finished_at), "syncResult": operation}
    return {
        "timestamp": iso(finished_at or started_at),
        "context": {"argocdUrl": CONSOLE},
        "app": {
            "metadata": {
                "name": application(service, environment),
                "uid": uid(service, environment),
                "namespace": "argocd",
            },
            "spec": {
                "project": service.team.name,
                "destination": {"server": "https://kubernetes.default.svc", "namespace": environment},
                "source": {"repoURL": f"{HTML_URL}/{repository}.git", "path": service.name},
            },
            "status": {
                "sync": {"status": "OutOfSync" if phase == "Failed" else "Synced"},
                "health": {"status": "Progressing" if phase == "Running" else "Healthy"},
                "summary": {"images": images},
                "operationState": state,
            },
        },
    }
