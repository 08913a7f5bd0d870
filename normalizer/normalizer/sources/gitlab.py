"""GitLab and GitLab CI: changes, commits, pipelines, deployments, releases and issues."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from normalizer.bodies import Count, moment, needed_moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from normalizer.touching import Touching, bounded
from normalizer.words import branch_of, outcome
from shared.contracts import events
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import Event, Gate

NO_COMMIT = "0" * 40
COMMIT_URL = re.compile(r"/commit/([0-9a-f]{40}|[0-9a-f]{64})$")
UNKNOWN = Ignored("unknown_event")
NO_FACT = Ignored("no_fact")

CHANGES: dict[str, type[events.Change]] = {
    "open": events.ChangeOpened,
    "update": events.ChangeUpdated,
    "reopen": events.ChangeUpdated,
    "merge": events.ChangeMerged,
    "close": events.ChangeClosed,
    "approved": events.ChangeReviewed,
    "approval": events.ChangeReviewed,
    "unapproved": events.ChangeReviewed,
    "unapproval": events.ChangeReviewed,
}
BY_STATE = {"opened": "update", "merged": "merge", "closed": "close"}  # where no action is told
STATES = {"opened": "open", "reopened": "open", "locked": "open", "merged": "merged", "closed": "closed"}
REVIEWS = {"approved": "approved", "approval": "approved", "unapproved": "dismissed", "unapproval": "dismissed"}
RUNNING = ("pending", "running", "preparing", "waiting_for_resource")
DEPLOYMENTS: dict[str, type[events.Deployment]] = {
    "created": events.DeploymentRequested,
    "blocked": events.DeploymentRequested,
    "running": events.DeploymentStarted,
    "success": events.DeploymentFinished,
    "failed": events.DeploymentFinished,
    "canceled": events.DeploymentFinished,
}
TICKETS: dict[str, type[events.Ticket]] = {
    "open": events.TicketCreated,
    "close": events.TicketClosed,
}


class _User(msgspec.Struct):
    username: str | None = None
    name: str | None = None


class _Project(msgspec.Struct):
    path_with_namespace: str
    default_branch: str | None = None


class _Body(msgspec.Struct, kw_only=True):
    project: _Project
    user: _User | None = None


class _Label(msgspec.Struct):
    title: str | None = None


class _Commit(msgspec.Struct):
    id: str | None = None
    timestamp: Spelling = None


class _MergeRequest(msgspec.Struct, kw_only=True):
    iid: Count | None = None
    title: str | None = None
    action: str | None = None
    state: str | None = None
    draft: bool | None = None
    work_in_progress: bool | None = None
    source_branch: str | None = None
    target_branch: str | None = None
    last_commit: _Commit | None = None
    merge_commit_sha: str | None = None
    squash_commit_sha: str | None = None
    oldrev: str | None = None
    url: str | None = None
    created_at: Spelling = None
    updated_at: Spelling = None


class _Check(msgspec.Struct):
    id: Count
    name: str | None = None


class _Draft(msgspec.Struct):
    previous: bool | None = None
    current: bool | None = None


class _Changes(msgspec.Struct):
    draft: _Draft | None = None


class _MergeRequestBody(_Body, kw_only=True):
    object_attributes: _MergeRequest
    external_approval_rule: _Check | None = None
    labels: list[_Label] | None = None
    changes: _Changes | None = None


class _Author(msgspec.Struct):
    name: str | None = None


class _Pushed(Touching):
    id: str
    message: str | None = None
    timestamp: Spelling = None
    author: _Author | None = None


class _PushBody(_Body, kw_only=True):
    ref: str
    before: str
    after: str
    user_username: str | None = None
    commits: list[_Pushed] | None = None


class _Pipeline(msgspec.Struct, kw_only=True):
    id: int
    status: str | None = None
    name: str | None = None
    ref: str | None = None
    sha: str | None = None
    source: str | None = None
    url: str | None = None
    tag: bool | None = None
    created_at: Spelling = None
    finished_at: Spelling = None


class _PipelineBody(_Body, kw_only=True):
    object_attributes: _Pipeline


class _DeploymentBody(_Body, kw_only=True):
    deployment_id: int
    environment: str
    status: str
    status_changed_at: Spelling = None
    deployable_url: str | None = None
    commit_url: str | None = None
    ref: str | None = None


class _Environment(msgspec.Struct):
    name: str | None = None


class _JobBody(_Body, kw_only=True):
    build_id: int
    build_status: str
    build_name: str | None = None
    build_started_at: Spelling = None
    build_finished_at: Spelling = None
    environment: _Environment | None = None
    sha: str | None = None
    ref: str | None = None


class _JobHead(msgspec.Struct):
    environment: _Environment | None = None


class _ReleaseBody(_Body, kw_only=True):
    tag: str
    name: str | None = None
    released_at: Spelling = None
    created_at: Spelling = None
    url: str | None = None
    commit: _Commit | None = None


class _Issue(msgspec.Struct, kw_only=True):
    iid: Count
    title: str
    action: str | None = None
    state: str | None = None
    type: str | None = None
    url: str | None = None
    created_at: Spelling = None
    updated_at: Spelling = None
    closed_at: Spelling = None


class _IssueBody(_Body, kw_only=True):
    object_attributes: _Issue
    labels: list[_Label] | None = None


class _Note(msgspec.Struct, kw_only=True):
    id: int
    created_at: Spelling = None
    url: str | None = None


class _Noted(msgspec.Struct):
    iid: Count


class _NoteBody(_Body, kw_only=True):
    object_attributes: _Note
    merge_request: _Noted


class _NoteHead(msgspec.Struct):
    merge_request: _Noted | None = None


class _Action(msgspec.Struct):
    action: str | None = None
    status: str | None = None


class _Head(msgspec.Struct):
    object_kind: str | None = None
    action: str | None = None
    object_attributes: _Action | None = None


def translate(delivery: RawDelivery) -> Disposition:
    """The body names its kind; a body after the operator's own template is none of ours. Raises Untranslatable."""
    head = read(delivery.body, _Head)
    row = KINDS.get(head.object_kind or "")
    if row is None:
        return NO_FACT if head.object_kind in NOT_MEASURED else UNKNOWN
    result = row(delivery)
    if isinstance(result, Ignored):
        return result
    return Events(result if isinstance(result, tuple) else (result,))


def _merge_request(delivery: RawDelivery) -> tuple[Event, ...] | Ignored:
    """An external status check is asked in the body of the hook, and only of what may still be merged. A review is
    told by the hook itself: under another id it would count twice."""
    body = read(delivery.body, _MergeRequestBody)
    change = _change(body, delivery)
    if isinstance(change, Ignored) or (check := body.external_approval_rule) is None:
        return change if isinstance(change, Ignored) else (change,)
    told = () if isinstance(change, events.ChangeReviewed) else (change,)
    asked = (_check(change, check),) if change.state == "open" else ()
    return (*told, *asked) or NO_FACT


def _check(change: events.Change, check: _Check) -> events.ChangeCheckRequested:
    return events.ChangeCheckRequested(
        occurred_at=change.occurred_at,
        time_is_received=change.time_is_received,
        repository=change.repository,
        number=change.number,
        check_id=str(check.id),
        check_name=check.name or "",
        head_sha=change.head_sha,
        base_ref=change.base_ref,
        head_ref=change.head_ref,
        title=change.title,
        author=change.author,
        actor=change.actor,
        url=change.url,
    )


def _change(body: _MergeRequestBody, delivery: RawDelivery) -> events.Change | Ignored:
    request = body.object_attributes
    action = request.action or BY_STATE.get(request.state or "", "")
    kind = CHANGES.get(action)
    if kind is None or request.iid is None:
        return UNKNOWN
    if kind is events.ChangeUpdated and _became_ready(body):
        kind = events.ChangeReady
    updated_at = moment("object_attributes.updated_at", request.updated_at)
    opened_at = moment("object_attributes.created_at", request.created_at)
    at = (opened_at if kind is events.ChangeOpened else updated_at) or updated_at or delivery.received_at
    state = STATES.get(request.state or "", "open")
    return kind(
        occurred_at=at,
        time_is_received=at is delivery.received_at,
        repository=body.project.path_with_namespace,
        number=request.iid,
        title=request.title or "",
        # The body names the author by a number only; who opens is who acts.
        author=_name(body.user) if kind is events.ChangeOpened else "",
        actor=_name(body.user),
        action=action,
        state=state,
        draft=bool(request.draft or request.work_in_progress),
        base_ref=request.target_branch or "",
        head_ref=request.source_branch or "",
        head_sha=(request.last_commit and request.last_commit.id) or "",
        merge_sha=_merge_sha(request) if state == "merged" else None,
        opened_at=opened_at,
        merged_at=updated_at if kind is events.ChangeMerged else None,
        closed_at=updated_at if kind in (events.ChangeMerged, events.ChangeClosed) else None,
        labels=tuple(label.title for label in body.labels or () if label.title),
        url=request.url or "",
        **_review(kind, action, body, delivery),
    )


def _merge_sha(request: _MergeRequest) -> str | None:
    """A fast-forward makes no commit: what was merged is the head."""
    head = request.last_commit.id if request.last_commit else None
    return request.merge_commit_sha or request.squash_commit_sha or head


def _became_ready(body: _MergeRequestBody) -> bool:
    draft = body.changes and body.changes.draft
    return bool(draft and draft.previous and draft.current is False)


def _review(kind: type[Event], action: str, body: _MergeRequestBody, delivery: RawDelivery) -> dict[str, Any]:
    """GitLab gives an approval no id: who approved, in which delivery."""
    if kind is not events.ChangeReviewed:
        return {}
    who = _name(body.user)
    return {"review_id": f"{who}:{delivery.delivery}", "reviewer": who, "review_state": REVIEWS[action]}


def _push(delivery: RawDelivery) -> Event | Ignored:
    """A push tells no time of its own; `commits` holds the last twenty."""
    body = read(delivery.body, _PushBody)
    if body.after == NO_COMMIT:
        return NO_FACT
    commits = [
        events.Commit(
            sha=commit.id,
            authored_at=needed_moment(f"commits[{index}].timestamp", commit.timestamp),
            author=(commit.author and commit.author.name) or "",
            message=commit.message or "",
            files=commit.files(),
        )
        for index, commit in enumerate(body.commits or ())
    ]
    return events.CommitsPushed(
        occurred_at=delivery.received_at,
        time_is_received=True,
        repository=body.project.path_with_namespace,
        ref=body.ref,
        branch=branch_of(body.ref),
        before=body.before,
        after=body.after,
        default_branch=body.project.default_branch or "",
        actor=body.user_username or _name(body.user),
        commits=bounded(commits),
    )


def _pipeline(delivery: RawDelivery) -> Event | Ignored:
    body = read(delivery.body, _PipelineBody)
    pipeline = body.object_attributes
    created_at = moment("object_attributes.created_at", pipeline.created_at)
    finished_at = moment("object_attributes.finished_at", pipeline.finished_at)
    common: dict[str, Any] = {
        "repository": body.project.path_with_namespace,
        "build_id": str(pipeline.id),
        "name": pipeline.name or "",
        "branch": "" if pipeline.tag else branch_of(pipeline.ref),
        "sha": pipeline.sha or "",
        "actor": _name(body.user),
        "started_at": created_at,
        "url": pipeline.url or "",
    }
    if pipeline.status in RUNNING:
        return events.BuildStarted(occurred_at=created_at or delivery.received_at, **common)
    if finished_at is None and pipeline.status not in ("success", "failed", "canceled", "skipped"):
        return NO_FACT if pipeline.status in ("created", "manual", "scheduled") else UNKNOWN
    return events.BuildFinished(
        occurred_at=finished_at or delivery.received_at,
        time_is_received=finished_at is None,
        outcome=outcome(pipeline.status),
        platform_outcome=pipeline.status or "",
        **common,
    )


def _deployment(delivery: RawDelivery) -> Event | Ignored:
    """The full commit is only in the URL; `short_sha` has eight digits."""
    body = read(delivery.body, _DeploymentBody)
    kind = DEPLOYMENTS.get(body.status)
    if kind is None:
        return UNKNOWN
    commit = COMMIT_URL.search(body.commit_url or "")
    return kind(
        occurred_at=needed_moment("status_changed_at", body.status_changed_at),
        repository=body.project.path_with_namespace,
        deployment_id=str(body.deployment_id),
        environment=body.environment,
        sha=commit[1] if commit else "",
        ref=body.ref or "",
        creator=_name(body.user),
        actor=_name(body.user),
        url=body.deployable_url or "",
        **_particulars(kind, body.status, body),
    )


def _particulars(kind: type[events.Deployment], status: str, body: _DeploymentBody) -> dict[str, Any]:
    if kind is events.DeploymentFinished:
        return {"outcome": outcome(status), "platform_outcome": status}
    if status == "blocked":
        return {"gate": Gate(run_id=str(body.deployment_id), callback_url="")}
    return {}


def _job(delivery: RawDelivery) -> Event | Ignored:
    """A job that deploys says where; its deployment hook tells the same rollout, so they share the environment."""
    head = read(delivery.body, _JobHead)
    if not head.environment or not head.environment.name:
        return NO_FACT
    body = read(delivery.body, _JobBody)
    started_at = moment("build_started_at", body.build_started_at)
    finished_at = moment("build_finished_at", body.build_finished_at)
    common: dict[str, Any] = {
        "repository": body.project.path_with_namespace,
        "deployment_id": f"job:{body.build_id}",
        "environment": head.environment.name,
        "sha": body.sha or "",
        "ref": body.ref or "",
        "task": body.build_name or "",
        "creator": _name(body.user),
        "actor": _name(body.user),
    }
    if body.build_status == "running":
        return events.DeploymentStarted(occurred_at=started_at or delivery.received_at, **common)
    if body.build_status not in ("success", "failed", "canceled"):
        return NO_FACT
    return events.DeploymentFinished(
        occurred_at=finished_at or delivery.received_at,
        time_is_received=finished_at is None,
        outcome=outcome(body.build_status),
        platform_outcome=body.build_status,
        **common,
    )


def _release(delivery: RawDelivery) -> Event | Ignored:
    if read(delivery.body, _Head).action != "create":
        return NO_FACT
    body = read(delivery.body, _ReleaseBody)
    return events.ReleasePublished(
        occurred_at=needed_moment("released_at", body.released_at, body.created_at),
        repository=body.project.path_with_namespace,
        tag=body.tag,
        name=body.name or "",
        target=(body.commit and body.commit.id) or "",
        author=_name(body.user),
        url=body.url or "",
    )


def _issue(delivery: RawDelivery) -> Event | Ignored:
    body = read(delivery.body, _IssueBody)
    issue = body.object_attributes
    kind = TICKETS.get(issue.action or "", events.TicketUpdated)
    opened_at = moment("object_attributes.created_at", issue.created_at)
    updated_at = moment("object_attributes.updated_at", issue.updated_at)
    closed_at = moment("object_attributes.closed_at", issue.closed_at)
    at = {events.TicketCreated: opened_at, events.TicketClosed: closed_at}.get(kind) or updated_at
    return kind(
        occurred_at=at or delivery.received_at,
        time_is_received=at is None,
        project=body.project.path_with_namespace,
        key=f"#{issue.iid}",
        title=issue.title,
        state="closed" if issue.state == "closed" else "open",
        status=issue.state or "",
        action=issue.action or "",
        author=_name(body.user) if kind is events.TicketCreated else "",
        actor=_name(body.user),
        labels=tuple(label.title for label in body.labels or () if label.title),
        ticket_type=issue.type or "",
        opened_at=opened_at,
        closed_at=closed_at,
        url=issue.url or "",
    )


def _note(delivery: RawDelivery) -> Event | Ignored:
    """Notes on commits, issues and snippets say nothing of a change."""
    if read(delivery.body, _NoteHead).merge_request is None:
        return NO_FACT
    body = read(delivery.body, _NoteBody)
    return events.ChangeCommented(
        occurred_at=needed_moment("object_attributes.created_at", body.object_attributes.created_at),
        repository=body.project.path_with_namespace,
        number=body.merge_request.iid,
        comment_id=str(body.object_attributes.id),
        author=_name(body.user),
        url=body.object_attributes.url or "",
    )


def _name(user: _User | None) -> str:
    return (user and (user.username or user.name)) or ""


KINDS: dict[str, Callable[[RawDelivery], Event | tuple[Event, ...] | Ignored]] = {
    "merge_request": _merge_request,
    "push": _push,
    "tag_push": _push,
    "pipeline": _pipeline,
    "deployment": _deployment,
    "build": _job,
    "release": _release,
    "issue": _issue,
    "work_item": _issue,
    "incident": _issue,
    "note": _note,
}
NOT_MEASURED = frozenset({"feature_flag", "wiki_page", "emoji", "access_token", "vulnerability", "milestone", "member"})
