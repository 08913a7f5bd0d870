"""Argo CD: syncs of applications, by the template of docs/sources/argocd.md."""

from typing import Any

import msgspec

from normalizer.bodies import moment, needed_moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from normalizer.words import repository_of, sha_of
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import DeploymentFinished, DeploymentStarted, Event

UNHEALTHY = frozenset({"Degraded", "Missing"})
UNFINISHED = frozenset({"Progressing", "Suspended"})
FAILED = frozenset({"Failed", "Error"})


class _Metadata(msgspec.Struct, rename="camel"):
    name: str
    uid: str | None = None
    namespace: str | None = None
    deletion_timestamp: Spelling = None


class _Source(msgspec.Struct):
    repoURL: str | None = None  # noqa: N815  # Argo CD's spelling


class _Destination(msgspec.Struct):
    server: str | None = None
    name: str | None = None
    namespace: str | None = None


class _Spec(msgspec.Struct):
    source: _Source | None = None
    sources: list[_Source] | None = None
    destination: _Destination | None = None


class _Initiator(msgspec.Struct):
    username: str | None = None
    automated: bool | None = None


class _Sync(msgspec.Struct):
    revision: str | None = None
    revisions: list[str | None] | None = None


class _Operation(msgspec.Struct, rename="camel"):
    initiated_by: _Initiator | None = None
    sync: _Sync | None = None


class _State(msgspec.Struct, rename="camel"):
    phase: str | None = None
    started_at: Spelling = None
    finished_at: Spelling = None
    message: str | None = None
    operation: _Operation | None = None
    sync_result: _Sync | None = None


class _Health(msgspec.Struct):
    status: str | None = None


class _Summary(msgspec.Struct):
    images: list[str | None] | None = None


class _Status(msgspec.Struct, rename="camel"):
    operation_state: _State | None = None
    health: _Health | None = None
    summary: _Summary | None = None


class _App(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec | None = None
    status: _Status | None = None


class _Context(msgspec.Struct, rename="camel"):
    argocd_url: str | None = None


class _Body(msgspec.Struct):
    app: _App
    context: _Context | None = None
    timestamp: Spelling = None


class _Head(msgspec.Struct):
    app: Any = None


def translate(delivery: RawDelivery) -> Disposition:
    """What happened is told by the phase of the operation: an application is healthy before it is deployed as well."""
    if read(delivery.body, _Head).app is None:
        return Ignored("unknown_event")
    body = read(delivery.body, _Body)
    status = body.app.status or _Status()
    state = status.operation_state
    if state is None or state.phase is None or body.app.metadata.deletion_timestamp:
        return Ignored("no_fact")
    event = _event(state, (status.health and status.health.status) or "", body)
    return event if isinstance(event, Ignored) else Events((event,))


def _event(state: _State, health: str, body: _Body) -> Event | Ignored:
    """A sync that succeeded is deployed once the application is healthy, and failed when it becomes unwell by it."""
    if state.phase == "Running" or (state.phase == "Succeeded" and health in UNFINISHED):
        started_at = needed_moment("app.status.operationState.startedAt", state.started_at)
        return DeploymentStarted(occurred_at=started_at, **_common(state, body))
    if state.phase in FAILED or (state.phase == "Succeeded" and health in UNHEALTHY):
        return _finished("failed", health if state.phase == "Succeeded" else state.phase or "", state, body)
    if state.phase == "Succeeded":
        return _finished("succeeded", "Succeeded", state, body)
    return Ignored("no_fact" if state.phase == "Terminating" else "unknown_event")


def _finished(outcome: str, word: str, state: _State, body: _Body) -> DeploymentFinished:
    return DeploymentFinished(
        occurred_at=needed_moment("app.status.operationState.finishedAt", state.finished_at, body.timestamp),
        outcome=outcome,
        platform_outcome=word,
        **_common(state, body),
    )


def _common(state: _State, body: _Body) -> dict[str, Any]:
    """The key is the application and the moment its operation began: a deployment is told many times."""
    app = body.app
    spec = app.spec or _Spec()
    destination = spec.destination or _Destination()
    sources = [spec.source] if spec.source else spec.sources or []
    started_at = moment("app.status.operationState.startedAt", state.started_at)
    initiator = (state.operation and state.operation.initiated_by) or _Initiator()
    images = (app.status and app.status.summary and app.status.summary.images) or ()
    url = (body.context and body.context.argocd_url) or ""
    return {
        "repository": next((name for each in sources if (name := repository_of(each.repoURL))), ""),
        "deployment_id": f"{app.metadata.uid or app.metadata.name}:{started_at.isoformat() if started_at else ''}",
        "environment": destination.namespace or destination.name or "",
        "sha": next((sha for each in _revisions(state) if (sha := sha_of(each))), ""),
        "service_name": app.metadata.name,
        "actor": initiator.username or "",
        "description": state.message or "",
        "images": tuple(image for image in images if image),
        "url": f"{url}/applications/{app.metadata.name}" if url else "",
    }


def _revisions(state: _State) -> list[str | None]:
    """What was synced, else what is to be: applications of several sources have several."""
    told = (state.sync_result, state.operation and state.operation.sync)
    return [each for sync in told if sync for each in (sync.revision, *(sync.revisions or ()))]
