"""CircleCI: workflows and their jobs, once they have ended; nothing tells that one began."""

from typing import Any

import msgspec

from normalizer.bodies import moment, needed_moment, read
from normalizer.disposition import Disposition, Events, Ignored, Untranslatable
from normalizer.times import Spelling
from normalizer.words import branch_of, outcome, repository_of
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import BuildFinished

WORKFLOW = "workflow-completed"
JOB = "job-completed"
PING = "ping"


class _Project(msgspec.Struct):
    slug: str | None = None
    name: str | None = None


class _Workflow(msgspec.Struct):
    id: str | None = None
    name: str | None = None
    status: str | None = None
    url: str | None = None
    created_at: Spelling = None
    stopped_at: Spelling = None


class _Job(msgspec.Struct):
    id: str | None = None
    name: str | None = None
    status: str | None = None
    started_at: Spelling = None
    stopped_at: Spelling = None


class _Vcs(msgspec.Struct):
    revision: str | None = None
    branch: str | None = None
    target_repository_url: str | None = None
    origin_repository_url: str | None = None


class _Git(msgspec.Struct):
    checkout_sha: str | None = None
    branch: str | None = None
    repo_url: str | None = None
    checkout_url: str | None = None


class _Parameters(msgspec.Struct):
    git: _Git | None = None


class _Pipeline(msgspec.Struct):
    vcs: _Vcs | None = None
    trigger_parameters: _Parameters | None = None


class _Body(msgspec.Struct):
    workflow: _Workflow | None = None
    happened_at: Spelling = None
    project: _Project | None = None
    pipeline: _Pipeline | None = None
    job: _Job | None = None


class _Head(msgspec.Struct):
    type: str | None = None


def translate(delivery: RawDelivery) -> Disposition:
    """Raises Untranslatable."""
    name = read(delivery.body, _Head).type
    if name == PING:
        return Ignored("handshake")
    if name not in (WORKFLOW, JOB):
        return Ignored("unknown_event")
    body = read(delivery.body, _Body)
    return Events((_job(body) if name == JOB else _workflow(body),))


def _workflow(body: _Body) -> BuildFinished:
    workflow = body.workflow
    if workflow is None:
        raise Untranslatable("workflow is missing")
    return BuildFinished(
        occurred_at=needed_moment("happened_at", workflow.stopped_at, body.happened_at),
        outcome=outcome(workflow.status),
        platform_outcome=workflow.status or "",
        started_at=moment("workflow.created_at", workflow.created_at),
        **_common(body),
    )


def _job(body: _Body) -> BuildFinished:
    job = body.job or _Job()
    return BuildFinished(
        occurred_at=needed_moment("happened_at", job.stopped_at, body.happened_at),
        outcome=outcome(job.status),
        platform_outcome=job.status or "",
        job=job.name or "job",
        started_at=moment("job.started_at", job.started_at),
        **_common(body),
    )


def _common(body: _Body) -> dict[str, Any]:
    """What GitHub's pipelines say of the commit in `vcs`, GitLab's and App's say in the parameters of the trigger."""
    workflow = body.workflow or _Workflow()  # a job may be told without it
    pipeline = body.pipeline or _Pipeline()
    vcs = pipeline.vcs or _Vcs()
    git = (pipeline.trigger_parameters and pipeline.trigger_parameters.git) or _Git()
    urls = (vcs.target_repository_url, vcs.origin_repository_url, git.repo_url, git.checkout_url)
    return {
        "repository": next(filter(None, map(repository_of, urls)), "") or _of_slug(body.project),
        "build_id": workflow.id or f"job:{(body.job and body.job.id) or ''}",
        "name": workflow.name or "",
        "branch": branch_of(vcs.branch or git.branch),
        "sha": vcs.revision or git.checkout_sha or "",
        "url": workflow.url or "",
    }


def _of_slug(project: _Project | None) -> str:
    """`github/acme/checkout`; a slug of ids names no repository."""
    provider, _, path = ((project and project.slug) or "").partition("/")
    return "" if provider == "circleci" else path
