"""Events of Amazon EventBridge: ECS, CodeDeploy, CodeBuild, CodePipeline."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from normalizer.bodies import moment, needed_moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from normalizer.words import outcome, sha_of
from shared.contracts.events import (
    BuildFinished,
    BuildStarted,
    Deployment,
    DeploymentFinished,
    DeploymentStarted,
    Event,
)

UNKNOWN = Ignored("unknown_event")
NO_FACT = Ignored("no_fact")
ECS_DEPLOYMENTS = {
    "SERVICE_DEPLOYMENT_IN_PROGRESS": None,
    "SERVICE_DEPLOYMENT_COMPLETED": "succeeded",
    "SERVICE_DEPLOYMENT_FAILED": "failed",
}
CODEDEPLOY = {"START": None, "SUCCESS": "succeeded", "FAILURE": "failed", "STOP": "cancelled"}
BUILDING = ("IN_PROGRESS", "STARTED", "RESUMED")
BUILT = ("SUCCEEDED", "FAILED", "STOPPED", "CANCELED", "SUPERSEDED", "FAULT", "TIMED_OUT")
ROLLING_BACK = "rolling back"


class _Event(msgspec.Struct):
    time: Spelling = None
    account: str | None = None
    region: str | None = None
    resources: list[str | None] | None = None


class _EcsDetail(msgspec.Struct, rename="camel"):
    event_name: str
    deployment_id: str
    updated_at: Spelling = None
    reason: str | None = None


class _EcsBody(_Event, kw_only=True):
    detail: _EcsDetail


class _CodeDeployDetail(msgspec.Struct, rename="camel"):
    deployment_id: str
    state: str
    application: str | None = None
    deployment_group: str | None = None


class _CodeDeployBody(_Event, kw_only=True):
    detail: _CodeDeployDetail


class _CodeBuildInformation(msgspec.Struct):
    start_time: Spelling = msgspec.field(name="build-start-time", default=None)
    initiator: str | None = None


class _CodeBuildDetail(msgspec.Struct):
    status: str = msgspec.field(name="build-status")
    id: str = msgspec.field(name="build-id")
    project: str | None = msgspec.field(name="project-name", default=None)
    source_version: str | None = msgspec.field(name="source-version", default=None)


class _CodeBuildBody(_Event, kw_only=True):
    detail: _CodeBuildDetail


class _PipelineDetail(msgspec.Struct):
    pipeline: str
    state: str
    execution_id: str = msgspec.field(name="execution-id")


class _PipelineBody(_Event, kw_only=True):
    detail: _PipelineDetail


class _Head(msgspec.Struct):
    detail_type: str | None = msgspec.field(name="detail-type", default=None)


def is_event(json: bytes) -> bool:
    """Raises Untranslatable."""
    return read(json, _Head).detail_type is not None


def translate_event(json: bytes) -> Disposition:
    """Raises Untranslatable."""
    name = read(json, _Head).detail_type or ""
    row = TYPES.get(name)
    if row is None:
        return NO_FACT if name.startswith(("ECS ", "CodePipeline ", "CodeBuild ", "CodeDeploy ")) else UNKNOWN
    result = row(json)
    return result if isinstance(result, Ignored) else Events((result,))


def _ecs(json: bytes) -> Event | Ignored:
    """No commit is told: it stands in the image's tag or the task definition."""
    body = read(json, _EcsBody)
    detail = body.detail
    if detail.event_name not in ECS_DEPLOYMENTS:
        return UNKNOWN
    arn = next((each for each in body.resources or () if each), "")
    cluster, service = _of_arn(arn)
    common: dict[str, Any] = {
        "repository": "",
        "deployment_id": f"{arn}:{detail.deployment_id}",
        "environment": cluster,
        "service_name": service,
        "description": detail.reason or "",
        "rollback": ROLLING_BACK in (detail.reason or "").lower(),
    }
    at = moment("detail.updatedAt", detail.updated_at) or needed_moment("time", body.time)
    return _deployment(at, ECS_DEPLOYMENTS[detail.event_name], detail.event_name, common)


def _code_deploy(json: bytes) -> Event | Ignored:
    body = read(json, _CodeDeployBody)
    detail = body.detail
    if detail.state not in CODEDEPLOY:
        return NO_FACT
    common: dict[str, Any] = {
        "repository": "",
        "deployment_id": detail.deployment_id,
        "environment": detail.deployment_group or "",
        "service_name": detail.application or "",
    }
    return _deployment(needed_moment("time", body.time), CODEDEPLOY[detail.state], detail.state, common)


def _deployment(at: datetime, ended: str | None, word: str, common: dict[str, Any]) -> Deployment:
    if ended is None:
        return DeploymentStarted(occurred_at=at, **common)
    return DeploymentFinished(occurred_at=at, outcome=ended, platform_outcome=word, **common)


def _code_build(json: bytes) -> Event | Ignored:
    body = read(json, _CodeBuildBody)
    detail = body.detail
    common = {"build_id": detail.id, "name": detail.project or "", "sha": sha_of(detail.source_version)}
    return _build(needed_moment("time", body.time), detail.status, common)


def _pipeline(json: bytes) -> Event | Ignored:
    body = read(json, _PipelineBody)
    common = {"build_id": body.detail.execution_id, "name": body.detail.pipeline}
    return _build(needed_moment("time", body.time), body.detail.state, common)


def _build(at: datetime, state: str, common: dict[str, str]) -> Event | Ignored:
    if state in BUILDING:
        return BuildStarted(occurred_at=at, repository="", started_at=at, **common)  # type: ignore[arg-type]
    if state not in BUILT:
        return NO_FACT
    return BuildFinished(
        occurred_at=at,
        repository="",
        outcome=outcome(state),
        platform_outcome=state,
        **common,  # type: ignore[arg-type]
    )


def _of_arn(arn: str) -> tuple[str, str]:
    """(cluster, service) of `…:service/<cluster>/<service>`; old ARNs lack the cluster."""
    parts = arn.partition(":service/")[2].split("/")
    return (parts[0], parts[1]) if len(parts) == 2 else ("", parts[0])


TYPES: dict[str, Callable[[bytes], Event | Ignored]] = {
    "ECS Deployment State Change": _ecs,
    "CodeDeploy Deployment State-change Notification": _code_deploy,
    "CodeBuild Build State Change": _code_build,
    "CodePipeline Pipeline Execution State Change": _pipeline,
}
