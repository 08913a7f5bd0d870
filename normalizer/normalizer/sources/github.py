"""GitHub and GitHub Actions: changes, commits, builds, deployments, releases and issues."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias, TypedDict, TypeVar, get_args

import msgspec

from normalizer.bodies import Count, form, is_json, moment, needed_moment, read
from normalizer.disposition import Disposition, Events, Ignored, Untranslatable
from normalizer.times import Spelling
from normalizer.touching import Touching, bounded
from shared.contracts import events
from shared.contracts.envelope import RawDelivery
from shared.contracts.vocabulary import ReviewState

OUTCOMES = {
    "success": "succeeded",
    "failure": "failed",
    "error": "failed",
    "timed_out": "failed",
    "startup_failure": "failed",
    "cancelled": "cancelled",
    "stale": "cancelled",
    "skipped": "skipped",
    "neutral": "skipped",
}  # every other word is `unknown`, `action_required` too
STATUS_KINDS: dict[str, type[events.Deployment]] = {
    "queued": events.DeploymentRequested,
    "pending": events.DeploymentRequested,
    "waiting": events.DeploymentRequested,
    "in_progress": events.DeploymentStarted,
    "success": events.DeploymentFinished,
    "failure": events.DeploymentFinished,
    "error": events.DeploymentFinished,
}
REVIEW_STATES = frozenset(get_args(ReviewState))
CALLBACK_RUN = re.compile(r"/actions/runs/([0-9]{1,20})/deployment_protection_rule$")
BRANCH = "refs/heads/"
NO_COMMIT = "0" * 40
ANY = "*"


class _User(msgspec.Struct):
    login: str
    type: str | None = None


class _Repository(msgspec.Struct):
    full_name: str
    default_branch: str | None = None
    pushed_at: Spelling = None


class _Head(msgspec.Struct):
    action: str | None = None


class _Body(msgspec.Struct, kw_only=True):
    repository: _Repository
    action: str | None = None
    sender: _User | None = None


class _Ref(msgspec.Struct):
    sha: str
    ref: str


class _Label(msgspec.Struct):
    name: str | None = None


class _PullRequest(msgspec.Struct):
    """`merge_commit_sha` is only a test merge until the change is merged; reviews leave `merged` out."""

    number: Count
    title: str
    head: _Ref
    base: _Ref
    state: str = "open"
    user: _User | None = None
    draft: bool | None = None
    merged: bool | None = None
    merged_by: _User | None = None
    merge_commit_sha: str | None = None
    created_at: Spelling = None
    updated_at: Spelling = None
    merged_at: Spelling = None
    closed_at: Spelling = None
    additions: Count | None = None
    deletions: Count | None = None
    changed_files: Count | None = None
    labels: list[_Label] | None = None
    html_url: str | None = None


class _PullRequestBody(_Body, kw_only=True):
    pull_request: _PullRequest


class _Review(msgspec.Struct):
    id: int
    state: str
    user: _User | None = None
    submitted_at: Spelling = None
    updated_at: Spelling = None


class _ReviewBody(_PullRequestBody, kw_only=True):
    review: _Review


class _Comment(msgspec.Struct):
    id: int
    user: _User | None = None
    created_at: Spelling = None
    html_url: str | None = None


class _Link(msgspec.Struct):
    """That it is there is what counts."""


class _Numbered(msgspec.Struct):
    """A change as other events refer to it; an issue is one when it has a `pull_request`."""

    number: Count
    pull_request: _Link | None = None


class _ReviewCommentBody(_Body, kw_only=True):
    comment: _Comment
    pull_request: _Numbered


class _IssueCommentBody(_Body, kw_only=True):
    comment: _Comment
    issue: _Numbered


class _Author(msgspec.Struct):
    name: str | None = None
    username: str | None = None


class _Commit(Touching):
    id: str
    message: str | None = None
    timestamp: Spelling = None
    author: _Author | None = None


class _PushBody(_Body, kw_only=True):
    ref: str
    before: str
    after: str
    deleted: bool | None = None
    forced: bool | None = None
    commits: list[_Commit] | None = None
    pusher: _Author | None = None


class _Work(msgspec.Struct, kw_only=True):
    """What a workflow run and a job of it have in common."""

    run_attempt: Count | None = None
    name: str | None = None
    head_sha: str | None = None
    head_branch: str | None = None
    conclusion: str | None = None
    html_url: str | None = None


class _Run(_Work, kw_only=True):
    id: int
    run_started_at: Spelling = None
    created_at: Spelling = None
    updated_at: Spelling = None


class _RunBody(_Body, kw_only=True):
    workflow_run: _Run


class _Job(_Work, kw_only=True):
    run_id: int
    workflow_name: str | None = None
    started_at: Spelling = None
    completed_at: Spelling = None


class _JobBody(_Body, kw_only=True):
    workflow_job: _Job


class _Deployment(msgspec.Struct):
    id: int
    sha: str
    environment: str | None = None
    ref: str | None = None
    task: str | None = None
    description: str | None = None
    creator: _User | None = None
    created_at: Spelling = None
    updated_at: Spelling = None


class _DeploymentBody(_Body, kw_only=True):
    deployment: _Deployment
    workflow_run: _Run | None = None


class _Status(msgspec.Struct):
    state: str
    environment: str | None = None
    description: str | None = None
    environment_url: str | None = None
    log_url: str | None = None
    target_url: str | None = None
    created_at: Spelling = None


class _StatusBody(_DeploymentBody, kw_only=True):
    deployment_status: _Status


class _Installation(msgspec.Struct):
    id: int


class _GateBody(_DeploymentBody, kw_only=True):
    environment: str | None = None
    deployment_callback_url: str | None = None
    installation: _Installation | None = None
    pull_requests: list[_Numbered] | None = None


class _ReviewedJob(msgspec.Struct):
    environment: str | None = None


class _DeploymentReviewBody(_RunBody, kw_only=True):
    """One job or several; each names its environment."""

    workflow_job_run: _ReviewedJob | None = None
    workflow_job_runs: list[_ReviewedJob] | None = None
    approver: _User | None = None
    comment: str | None = None
    since: Spelling = None


class _Release(msgspec.Struct):
    tag_name: str
    name: str | None = None
    target_commitish: str | None = None
    prerelease: bool | None = None
    author: _User | None = None
    published_at: Spelling = None
    html_url: str | None = None


class _ReleaseBody(_Body, kw_only=True):
    release: _Release


class _Issue(msgspec.Struct):
    number: Count
    title: str
    state: str | None = None
    state_reason: str | None = None
    user: _User | None = None
    labels: list[_Label] | None = None
    created_at: Spelling = None
    updated_at: Spelling = None
    closed_at: Spelling = None
    html_url: str | None = None


class _IssueBody(_Body, kw_only=True):
    issue: _Issue


class _When(TypedDict):
    occurred_at: datetime
    time_is_received: bool


Translation: TypeAlias = Callable[[bytes, RawDelivery], Disposition]
B = TypeVar("B", bound=_Body)


def translate(delivery: RawDelivery) -> Disposition:
    """Only the header names the event; the body may come as a form. Raises Untranslatable."""
    json = delivery.body if is_json(delivery.body) else form(delivery.body).get("payload", "").encode()
    if delivery.event not in EVENTS:
        read(json, msgspec.Raw)
        return UNKNOWN
    action = read(json, _Head).action or ""
    row = TABLE.get((delivery.event, action)) or TABLE.get((delivery.event, ANY)) or UNKNOWN
    return row if isinstance(row, Ignored) else row(json, delivery)


def _reads(shape: type[B], translation: Callable[[B, RawDelivery], events.Event | Ignored]) -> Translation:
    def translated(json: bytes, delivery: RawDelivery) -> Disposition:
        result = translation(read(json, shape), delivery)
        return result if isinstance(result, Ignored) else Events((result,))

    return translated


def _change(kind: type[events.Change], time: str) -> Translation:
    """A change as it is after the action, which happened at the field `time` of it."""

    def translation(body: _PullRequestBody, delivery: RawDelivery) -> events.Change:
        at = moment(f"pull_request.{time}", getattr(body.pull_request, time))
        return _snapshot(kind, body, _when(delivery, at))

    return _reads(_PullRequestBody, translation)


def _closed(body: _PullRequestBody, delivery: RawDelivery) -> events.Change:
    if _state(body.pull_request) == "merged":
        merged_at = moment("pull_request.merged_at", body.pull_request.merged_at)
        return _snapshot(events.ChangeMerged, body, _when(delivery, merged_at))
    closed_at = moment("pull_request.closed_at", body.pull_request.closed_at)
    return _snapshot(events.ChangeClosed, body, _when(delivery, closed_at))


def _reviewed(body: _ReviewBody, delivery: RawDelivery) -> events.Change | Ignored:
    """`submitted_at` stays when a review is dismissed later; the change is updated by that."""
    review = body.review
    dismissed = body.action == "dismissed"
    state = "dismissed" if dismissed else review.state.lower()
    if state not in REVIEW_STATES:
        return UNKNOWN
    submitted_at = moment("review.submitted_at", review.submitted_at)
    dismissed_at = moment("pull_request.updated_at", body.pull_request.updated_at) if dismissed else None
    return _snapshot(
        events.ChangeReviewed,
        body,
        _when(delivery, dismissed_at or submitted_at),
        review_id=str(review.id),
        reviewer=_login(review.user),
        review_state=state,
    )


def _snapshot(kind: type[events.Change], body: _PullRequestBody, when: _When, **particulars: Any) -> events.Change:
    change = body.pull_request
    state = _state(change)
    return kind(
        **when,
        repository=body.repository.full_name,
        number=change.number,
        title=change.title,
        author=_login(change.user),
        author_kind=_kind(change.user),
        actor=(_login(change.merged_by) if kind is events.ChangeMerged else "") or _login(body.sender),
        action=body.action or "",
        state=state,
        draft=bool(change.draft),
        base_ref=change.base.ref,
        head_ref=change.head.ref,
        head_sha=change.head.sha,
        merge_sha=change.merge_commit_sha if state == "merged" else None,
        opened_at=moment("pull_request.created_at", change.created_at),
        merged_at=moment("pull_request.merged_at", change.merged_at),
        closed_at=moment("pull_request.closed_at", change.closed_at),
        additions=change.additions,
        deletions=change.deletions,
        changed_files=change.changed_files,
        labels=_names(change.labels),
        url=change.html_url or "",
        **particulars,
    )


def _state(change: _PullRequest) -> str:
    return "merged" if change.merged or change.merged_at else change.state


def _commented_review(body: _ReviewCommentBody, delivery: RawDelivery) -> events.ChangeCommented:
    return _commented(body, body.pull_request.number, body.comment, delivery)


def _commented_issue(body: _IssueCommentBody, delivery: RawDelivery) -> events.ChangeCommented | Ignored:
    if body.issue.pull_request is None:
        return NO_FACT
    return _commented(body, body.issue.number, body.comment, delivery)


def _commented(body: _Body, number: int, comment: _Comment, delivery: RawDelivery) -> events.ChangeCommented:
    return events.ChangeCommented(
        **_when(delivery, moment("comment.created_at", comment.created_at)),
        repository=body.repository.full_name,
        number=number,
        comment_id=str(comment.id),
        author=_login(comment.user),
        author_kind=_kind(comment.user),
        url=comment.html_url or "",
    )


def _pushed(body: _PushBody, delivery: RawDelivery) -> events.CommitsPushed | Ignored:
    if body.deleted or body.after == NO_COMMIT:
        return NO_FACT
    return events.CommitsPushed(
        **_when(delivery, moment("repository.pushed_at", body.repository.pushed_at)),
        repository=body.repository.full_name,
        ref=body.ref,
        branch=body.ref.removeprefix(BRANCH) if body.ref.startswith(BRANCH) else "",
        before=body.before,
        after=body.after,
        default_branch=body.repository.default_branch or "",
        forced=bool(body.forced),
        actor=_login(body.sender) or (body.pusher and body.pusher.name) or "",
        commits=bounded([_commit(n, commit) for n, commit in enumerate(body.commits or ())]),
    )


def _commit(n: int, commit: _Commit) -> events.Commit:
    author = commit.author or _Author()
    return events.Commit(
        sha=commit.id,
        authored_at=needed_moment(f"commits[{n}].timestamp", commit.timestamp),
        author=author.username or author.name or "",
        message=commit.message or "",
        files=commit.files(),
    )


def _run_started(body: _RunBody, _: RawDelivery) -> events.Build:
    run = body.workflow_run
    at = needed_moment("workflow_run.run_started_at", run.run_started_at, run.created_at)
    return events.BuildStarted(occurred_at=at, **_run(body))


def _run_finished(body: _RunBody, _: RawDelivery) -> events.Build:
    at = needed_moment("workflow_run.updated_at", body.workflow_run.updated_at)
    return events.BuildFinished(occurred_at=at, **_run(body), **_outcome(body.workflow_run))


def _run(body: _RunBody) -> dict[str, Any]:
    run = body.workflow_run
    started_at = moment("workflow_run.run_started_at", run.run_started_at)
    return _work(body, run) | {"build_id": str(run.id), "name": run.name or "", "started_at": started_at}


def _job_started(body: _JobBody, _: RawDelivery) -> events.Build:
    at = needed_moment("workflow_job.started_at", body.workflow_job.started_at)
    return events.BuildStarted(occurred_at=at, **_job(body))


def _job_finished(body: _JobBody, _: RawDelivery) -> events.Build:
    at = needed_moment("workflow_job.completed_at", body.workflow_job.completed_at)
    return events.BuildFinished(occurred_at=at, **_job(body), **_outcome(body.workflow_job))


def _job(body: _JobBody) -> dict[str, Any]:
    job = body.workflow_job
    if not job.name:
        raise Untranslatable("workflow_job.name is missing")
    return _work(body, job) | {
        "build_id": str(job.run_id),
        "name": job.workflow_name or "",
        "job": job.name,
        "started_at": moment("workflow_job.started_at", job.started_at),
    }


def _work(body: _Body, work: _Work) -> dict[str, Any]:
    return {
        "repository": body.repository.full_name,
        "attempt": work.run_attempt or 1,
        "branch": work.head_branch or "",
        "sha": work.head_sha or "",
        "actor": _login(body.sender),
        "url": work.html_url or "",
    }


def _outcome(work: _Work) -> dict[str, Any]:
    word = work.conclusion or ""
    return {"outcome": OUTCOMES.get(word, "unknown"), "platform_outcome": word}


def _deployment_created(body: _DeploymentBody, _: RawDelivery) -> events.Deployment:
    deployment = body.deployment
    return events.DeploymentRequested(
        occurred_at=needed_moment("deployment.created_at", deployment.created_at),
        environment=_environment("deployment.environment", deployment.environment),
        url=_run_url(body),
        **_deployment(body),
    )


def _deployment_status(body: _StatusBody, _: RawDelivery) -> events.Deployment | Ignored:
    """`inactive` is set when a newer deployment takes its place: no failure."""
    status = body.deployment_status
    if status.state == "inactive":
        return Ignored("superseded")
    if (kind := STATUS_KINDS.get(status.state)) is None:
        return UNKNOWN
    finished = kind is events.DeploymentFinished
    outcome: dict[str, Any] = {"outcome": OUTCOMES[status.state], "platform_outcome": status.state} if finished else {}
    return kind(
        occurred_at=needed_moment("deployment_status.created_at", status.created_at),
        environment=_environment("deployment_status.environment", status.environment, body.deployment.environment),
        url=status.environment_url or status.log_url or status.target_url or "",
        **_deployment(body, status.description),
        **outcome,
    )


def _gated(body: _GateBody, _: RawDelivery) -> events.Deployment:
    deployment = body.deployment
    return events.DeploymentRequested(
        occurred_at=needed_moment("deployment.updated_at", deployment.updated_at, deployment.created_at),
        environment=_environment("environment", body.environment, deployment.environment),
        url=_run_url(body),
        gate=events.Gate(
            run_id=_gated_run(body),
            callback_url=body.deployment_callback_url or "",
            installation_id=str(body.installation.id) if body.installation else "",
            changes=tuple(change.number for change in body.pull_requests or ()),
        ),
        **_deployment(body),
    )


def _deployment_reviewed(body: _DeploymentReviewBody, _: RawDelivery) -> events.DeploymentReviewed:
    run = body.workflow_run
    jobs = [*(body.workflow_job_runs or ()), *([body.workflow_job_run] if body.workflow_job_run else ())]
    return events.DeploymentReviewed(
        occurred_at=needed_moment("workflow_run.updated_at", run.updated_at, body.since),
        repository=body.repository.full_name,
        run_id=str(run.id),
        state=body.action or "",
        reviewer=_login(body.approver) or _login(body.sender),
        environments=tuple(dict.fromkeys(job.environment for job in jobs if job.environment)),
        comment=body.comment or "",
        url=run.html_url or "",
    )


def _gated_run(body: _GateBody) -> str:
    if body.workflow_run:
        return str(body.workflow_run.id)
    if match := CALLBACK_RUN.search(body.deployment_callback_url or ""):
        return match[1]
    raise Untranslatable("workflow_run.id is missing, and deployment_callback_url names no run")


def _deployment(body: _DeploymentBody, description: str | None = None) -> dict[str, Any]:
    deployment = body.deployment
    return {
        "repository": body.repository.full_name,
        "deployment_id": str(deployment.id),
        "sha": deployment.sha,
        "ref": deployment.ref or "",
        "task": deployment.task or "",
        "creator": _login(deployment.creator),
        "actor": _login(body.sender),
        "description": description or deployment.description or "",
    }


def _environment(name: str, *candidates: str | None) -> str:
    for candidate in candidates:
        if candidate:
            return candidate
    raise Untranslatable(f"{name} is missing")


def _run_url(body: _DeploymentBody) -> str:
    return (body.workflow_run and body.workflow_run.html_url) or ""


def _released(body: _ReleaseBody, _: RawDelivery) -> events.ReleasePublished:
    release = body.release
    return events.ReleasePublished(
        occurred_at=needed_moment("release.published_at", release.published_at),
        repository=body.repository.full_name,
        tag=release.tag_name,
        name=release.name or "",
        target=release.target_commitish or "",
        prerelease=bool(release.prerelease),
        author=_login(release.author),
        url=release.html_url or "",
    )


def _ticket(kind: type[events.Ticket], time: str) -> Translation:
    """An issue as it is after the action, which happened at the field `time` of it."""

    def translation(body: _IssueBody, delivery: RawDelivery) -> events.Ticket:
        issue, gone = body.issue, body.action in ("deleted", "transferred")
        closed_at = moment("issue.closed_at", issue.closed_at)
        reason: dict[str, Any] = {"reason": body.action if gone else issue.state_reason or ""}
        return kind(
            **_when(delivery, moment(f"issue.{time}", getattr(issue, time))),
            project=body.repository.full_name,
            key=f"#{issue.number}",
            title=issue.title,
            state="closed" if gone else issue.state or ("closed" if closed_at else "open"),
            action=body.action or "",
            author=_login(issue.user),
            actor=_login(body.sender),
            labels=_names(issue.labels),
            opened_at=moment("issue.created_at", issue.created_at),
            closed_at=closed_at,
            url=issue.html_url or "",
            **(reason if kind is events.TicketClosed else {}),
        )

    return _reads(_IssueBody, translation)


def _when(delivery: RawDelivery, at: datetime | None) -> _When:
    """Abridged bodies tell no time."""
    return {"occurred_at": at or delivery.received_at, "time_is_received": at is None}


def _login(user: _User | None) -> str:
    """Empty for a deleted account, which is null."""
    return user.login if user else ""


def _kind(user: _User | None) -> str:
    return "bot" if user and (user.type == "Bot" or user.login.endswith("[bot]")) else "human"


def _names(labels: list[_Label] | None) -> tuple[str, ...]:
    return tuple(label.name for label in labels or () if label.name)


def _rows(event: str, actions: str, row: Translation | Ignored) -> dict[tuple[str, str], Translation | Ignored]:
    return {(event, action): row for action in actions.split()}


NO_FACT = Ignored("no_fact")
UNKNOWN = Ignored("unknown_event")
NONE = ""  # deliveries of older GitHub Enterprise Servers have no action

TABLE: dict[tuple[str, str], Translation | Ignored] = {
    ("ping", ANY): Ignored("handshake"),
    ("push", ANY): _reads(_PushBody, _pushed),
    ("pull_request", "opened"): _change(events.ChangeOpened, "created_at"),
    ("pull_request", "ready_for_review"): _change(events.ChangeReady, "updated_at"),
    ("pull_request", "closed"): _reads(_PullRequestBody, _closed),
    **_rows(
        "pull_request",
        "synchronize reopened converted_to_draft edited labeled unlabeled assigned unassigned"
        " review_requested review_request_removed",
        _change(events.ChangeUpdated, "updated_at"),
    ),
    **_rows(
        "pull_request",
        "locked unlocked milestoned demilestoned auto_merge_enabled auto_merge_disabled enqueued dequeued",
        NO_FACT,
    ),
    **_rows("pull_request_review", "submitted dismissed", _reads(_ReviewBody, _reviewed)),
    ("pull_request_review", "edited"): NO_FACT,
    ("pull_request_review_comment", "created"): _reads(_ReviewCommentBody, _commented_review),
    **_rows("pull_request_review_comment", "edited deleted", NO_FACT),
    ("issue_comment", "created"): _reads(_IssueCommentBody, _commented_issue),
    **_rows("issue_comment", "edited deleted", NO_FACT),
    ("workflow_run", "requested"): _reads(_RunBody, _run_started),
    ("workflow_run", "in_progress"): _reads(_RunBody, _run_started),
    ("workflow_run", "completed"): _reads(_RunBody, _run_finished),
    ("workflow_job", "in_progress"): _reads(_JobBody, _job_started),
    ("workflow_job", "completed"): _reads(_JobBody, _job_finished),
    **_rows("workflow_job", "queued waiting", NO_FACT),
    ("deployment", NONE): _reads(_DeploymentBody, _deployment_created),
    ("deployment", "created"): _reads(_DeploymentBody, _deployment_created),
    ("deployment_status", NONE): _reads(_StatusBody, _deployment_status),
    ("deployment_status", "created"): _reads(_StatusBody, _deployment_status),
    ("deployment_protection_rule", "requested"): _reads(_GateBody, _gated),
    # It names no deployment: `deployment_status` in state `waiting` tells the same of one.
    ("deployment_review", "requested"): NO_FACT,
    **_rows("deployment_review", "approved rejected", _reads(_DeploymentReviewBody, _deployment_reviewed)),
    ("release", "published"): _reads(_ReleaseBody, _released),
    **_rows("release", "released prereleased created edited deleted unpublished", NO_FACT),
    ("issues", "opened"): _ticket(events.TicketCreated, "created_at"),
    ("issues", "closed"): _ticket(events.TicketClosed, "closed_at"),
    **_rows("issues", "deleted transferred", _ticket(events.TicketClosed, "updated_at")),
    ("issues", ANY): _ticket(events.TicketUpdated, "updated_at"),
    ("check_run", ANY): NO_FACT,
    ("check_suite", ANY): NO_FACT,
    ("status", ANY): NO_FACT,
    ("merge_group", ANY): NO_FACT,
    ("create", ANY): NO_FACT,
    ("delete", ANY): NO_FACT,
    ("pull_request_review_thread", ANY): NO_FACT,
}
EVENTS = frozenset(event for event, _ in TABLE)
