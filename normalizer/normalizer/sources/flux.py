"""Flux: reconciliations of Kustomizations and Helm releases."""

import re
from typing import Any

import msgspec

from normalizer.bodies import needed_moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from normalizer.words import sha_of
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import DeploymentFinished, DeploymentStarted, Event

DEPLOYS = frozenset({"Kustomization", "HelmRelease"})
SUCCEEDED = frozenset({"ReconciliationSucceeded", "UpgradeSucceeded", "InstallSucceeded", "RollbackSucceeded"})
STARTED = frozenset({"Progressing"})
REVISION = re.compile(r"^(?:(?P<branch>.*?)[@/])?(?:sha1:|sha256:)?(?P<sha>[0-9a-f]{40,64})$")


class _Object(msgspec.Struct):
    kind: str | None = None
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None


class _Body(msgspec.Struct, rename="camel"):
    involved_object: _Object
    severity: str | None = None
    reason: str | None = None
    message: str | None = None
    timestamp: Spelling = None
    metadata: dict[str, str | None] | None = None


class _Head(msgspec.Struct, rename="camel"):
    involved_object: Any = None


def translate(delivery: RawDelivery) -> Disposition:
    """Sources are fetched, not deployed. Raises Untranslatable."""
    if read(delivery.body, _Head).involved_object is None:
        return Ignored("unknown_event")
    body = read(delivery.body, _Body)
    if body.involved_object.kind not in DEPLOYS:
        return Ignored("no_fact")
    event = _event(body)
    return event if isinstance(event, Ignored) else Events((event,))


def _event(body: _Body) -> Event | Ignored:
    at = needed_moment("timestamp", body.timestamp)
    reason = body.reason or ""
    if body.severity == "error":
        return DeploymentFinished(occurred_at=at, outcome="failed", platform_outcome=reason, **_common(body))
    if reason in SUCCEEDED:
        rollback = reason == "RollbackSucceeded"
        return DeploymentFinished(
            occurred_at=at, outcome="succeeded", platform_outcome=reason, rollback=rollback, **_common(body)
        )
    if reason in STARTED:
        return DeploymentStarted(occurred_at=at, **_common(body))
    return Ignored("no_fact")


def _common(body: _Body) -> dict[str, Any]:
    """The same revision succeeds again at each interval: object and revision are one deployment."""
    involved = body.involved_object
    revision = _revision(body.metadata or {})
    parts = REVISION.match(revision)
    return {
        "repository": "",
        "deployment_id": f"{involved.uid or f'{involved.namespace}/{involved.name}'}:{revision}",
        "environment": involved.namespace or "",
        "sha": sha_of(parts["sha"]) if parts else "",
        "ref": (parts["branch"] or "") if parts else revision,
        "service_name": involved.name or "",
        "description": body.message or "",
    }


def _revision(metadata: dict[str, str | None]) -> str:
    """Under `revision`, or the name of the controller's group before a slash; `main/<sha>` before, `main@sha1:` now."""
    return next((value for name, value in metadata.items() if value and name.rpartition("/")[2] == "revision"), "")
