"""Kubernetes: rollouts of workloads by kubewatch's CloudEvents, warnings by kubernetes-event-exporter."""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from normalizer.bodies import moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from normalizer.words import sha_of
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import AlertFired, DeploymentFinished, DeploymentStarted, Event

KUBEWATCH = "KUBERNETES_TOPOLOGY_CHANGE"
WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
COMPLETE, TIMED_OUT = "NewReplicaSetAvailable", "ProgressDeadlineExceeded"
REVISION_LABEL = "org.opencontainers.image.revision"
TAG = re.compile(r":(?:sha-|git-)?([0-9a-f]{40})$")
NO_FACT = Ignored("no_fact")


class _Metadata(msgspec.Struct):
    name: str
    uid: str | None = None
    namespace: str | None = None
    generation: int | None = None
    labels: dict[str, str | None] | None = None


class _Container(msgspec.Struct):
    image: str | None = None


class _PodSpec(msgspec.Struct):
    containers: list[_Container] | None = None


class _Template(msgspec.Struct):
    spec: _PodSpec | None = None


class _Spec(msgspec.Struct):
    template: _Template | None = None


class _Condition(msgspec.Struct, rename="camel"):
    type: str | None = None
    reason: str | None = None
    status: str | None = None
    last_update_time: Spelling = None


class _Status(msgspec.Struct, rename="camel"):
    observed_generation: int | None = None
    replicas: int | None = None
    updated_replicas: int | None = None
    available_replicas: int | None = None
    conditions: list[_Condition] | None = None


class _Object(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec | None = None
    status: _Status | None = None


class _Change(msgspec.Struct):
    """Either object may be missing."""

    kind: str | None = None
    operation: str | None = None
    obj: _Object | None = None
    oldObj: _Object | None = None  # noqa: N815  # kubewatch's spelling


class _Kubewatch(msgspec.Struct):
    data: _Change
    time: Spelling = None


class _Involved(msgspec.Struct):
    kind: str | None = None
    namespace: str | None = None
    name: str | None = None
    uid: str | None = None


class _Uid(msgspec.Struct):
    uid: str | None = None


class _Exported(msgspec.Struct, rename="camel"):
    reason: str | None = None
    type: str | None = None
    message: str | None = None
    metadata: _Uid | None = None
    involved_object: _Involved | None = None
    last_timestamp: Spelling = None
    event_time: Spelling = None


class _Head(msgspec.Struct, rename="camel"):
    type: str | None = None
    data: Any = None
    involved_object: Any = None


def translate(delivery: RawDelivery) -> Disposition:
    """Raises Untranslatable."""
    head = read(delivery.body, _Head)
    if head.type == KUBEWATCH and head.data is not None:
        event = _rollout(read(delivery.body, _Kubewatch), delivery)
    elif head.involved_object is not None:
        event = _warning(read(delivery.body, _Exported), delivery)
    else:
        return Ignored("unknown_event")
    return event if isinstance(event, Ignored) else Events((event,))


def _rollout(body: _Kubewatch, delivery: RawDelivery) -> Event | Ignored:
    """Ended is told by the status, begun by another template; scaling, deletions and the like are no rollouts."""
    change = body.data
    now, before = change.obj, change.oldObj
    if change.kind not in WORKLOADS or change.operation == "delete" or now is None or before is None:
        return NO_FACT
    at = moment("time", body.time) or delivery.received_at
    common = _common(now)
    if _images(now) != _images(before):
        return DeploymentStarted(occurred_at=at, **common)
    if _generation(now) != _generation(before):
        return DeploymentStarted(occurred_at=at, config_only=True, **common)
    ended = _ended(now)
    if ended is None or ended == _ended(before):
        return NO_FACT
    outcome, reason, ended_at = ended
    return DeploymentFinished(occurred_at=ended_at or at, outcome=outcome, platform_outcome=reason, **common)


def _ended(workload: _Object) -> tuple[str, str, datetime | None] | None:
    """(outcome, reason, when) of the rollout of this generation."""
    status = workload.status or _Status()
    progressing = next((each for each in status.conditions or () if each.type == "Progressing"), _Condition())
    at = moment("status.conditions.lastUpdateTime", progressing.last_update_time)
    if progressing.reason == TIMED_OUT:
        return "failed", TIMED_OUT, at
    observed = (status.observed_generation or 0) >= (_generation(workload) or 0)
    counts = {status.replicas, status.updated_replicas, status.available_replicas}
    if progressing.reason == COMPLETE and observed and len(counts) == 1:
        return "succeeded", COMPLETE, at
    return None


def _common(workload: _Object) -> dict[str, Any]:
    metadata = workload.metadata
    images = tuple(sorted(_images(workload)))
    return {
        "repository": "",
        "deployment_id": f"{metadata.uid or metadata.name}:{metadata.generation or 0}",
        "environment": metadata.namespace or "",
        "sha": sha_of((metadata.labels or {}).get(REVISION_LABEL)) or _tagged(images),
        "service_name": metadata.name,
        "images": images,
    }


def _images(workload: _Object) -> set[str]:
    template = workload.spec and workload.spec.template and workload.spec.template.spec
    return {each.image for each in (template and template.containers) or () if each.image}


def _tagged(images: Iterable[str]) -> str:
    """A commit is known only where images are tagged by it."""
    return next((found[1] for image in images if (found := TAG.search(image))), "")


def _generation(workload: _Object) -> int | None:
    return workload.metadata.generation


def _warning(body: _Exported, delivery: RawDelivery) -> Event | Ignored:
    if body.type != "Warning":
        return NO_FACT
    involved = body.involved_object or _Involved()
    at = moment("lastTimestamp", body.last_timestamp) or moment("eventTime", body.event_time)
    uid = (body.metadata and body.metadata.uid) or f"{involved.uid or involved.name or ''}:{body.reason or ''}"
    return AlertFired(
        occurred_at=at or delivery.received_at,
        time_is_received=at is None,
        alert_id=uid,
        title=body.message or body.reason or "",
        severity="warning",
        service_name=involved.name or "",
        environment=involved.namespace or "",
        rule=body.reason or "",
        labels=(f"kind:{involved.kind}",) if involved.kind else (),
        fired_at=at,
    )
