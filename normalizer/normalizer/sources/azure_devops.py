"""Azure DevOps service hooks: changes, commits, builds, releases and work items."""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from normalizer.bodies import Count, moment, read
from normalizer.disposition import Disposition, Events, Ignored, Untranslatable
from normalizer.times import Spelling
from normalizer.words import branch_of, outcome, sha_of
from shared.contracts import events
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import Event

NO_COMMIT = "0" * 40
NO_FACT = Ignored("no_fact")
SOURCE_VERSION = re.compile(r":([0-9a-f]{40})$")
STATES = {"completed": "merged", "abandoned": "closed"}
VOTES = {10: "approved", 5: "approved", -10: "changes_requested", -5: "changes_requested"}
PUBLISHER_FAMILIES = ("git.", "build.", "ms.", "workitem.", "tfvc.", "message.")
CLOSED = frozenset({"closed", "done", "removed", "resolved", "completed"})


class _Person(msgspec.Struct, rename="camel"):
    unique_name: str | None = None
    display_name: str | None = None
    vote: int | None = None


class _Project(msgspec.Struct):
    name: str | None = None


class _Repository(msgspec.Struct, rename="camel"):
    name: str | None = None
    project: _Project | None = None
    default_branch: str | None = None


class _Commit(msgspec.Struct, rename="camel"):
    commit_id: str | None = None


class _PullRequest(msgspec.Struct, rename="camel"):
    pull_request_id: Count
    repository: _Repository
    title: str | None = None
    status: str | None = None
    is_draft: bool | None = None
    created_by: _Person | None = None
    creation_date: Spelling = None
    closed_date: Spelling = None
    source_ref_name: str | None = None
    target_ref_name: str | None = None
    last_merge_source_commit: _Commit | None = None
    last_merge_commit: _Commit | None = None
    reviewers: list[_Person] | None = None
    url: str | None = None


class _Author(msgspec.Struct):
    name: str | None = None
    date: Spelling = None


class _Pushed(msgspec.Struct, rename="camel"):
    commit_id: str
    author: _Author | None = None
    comment: str | None = None


class _RefUpdate(msgspec.Struct, rename="camel"):
    name: str
    old_object_id: str
    new_object_id: str


class _Push(msgspec.Struct, rename="camel"):
    ref_updates: list[_RefUpdate]
    repository: _Repository
    commits: list[_Pushed] | None = None
    pushed_by: _Person | None = None
    date: Spelling = None


class _Definition(msgspec.Struct):
    name: str | None = None


class _Build(msgspec.Struct, rename="camel"):
    id: int
    build_number: str | None = None
    status: str | None = None
    result: str | None = None
    start_time: Spelling = None
    finish_time: Spelling = None
    source_branch: str | None = None
    source_version: str | None = None
    source_get_version: str | None = None
    definition: _Definition | None = None
    url: str | None = None


class _Run(msgspec.Struct, rename="camel"):
    id: int
    name: str | None = None
    state: str | None = None
    result: str | None = None
    created_date: Spelling = None
    finished_date: Spelling = None


class _Pipeline(msgspec.Struct):
    name: str | None = None


class _RunChanged(msgspec.Struct):
    run: _Run
    pipeline: _Pipeline | None = None


class _Environment(msgspec.Struct, rename="camel"):
    id: int | None = None
    name: str | None = None
    status: str | None = None


class _ReleaseName(msgspec.Struct):
    id: int | None = None
    name: str | None = None


class _ReleaseDefinition(msgspec.Struct):
    name: str | None = None


class _ReleaseDeployment(msgspec.Struct, rename="camel"):
    environment: _Environment
    release: _ReleaseName | None = None
    release_definition: _ReleaseDefinition | None = None


class _WorkItem(msgspec.Struct, rename="camel"):
    id: int | None = None
    work_item_id: int | None = None
    fields: dict[str, Any] | None = None
    revision: "_WorkItem | None" = None


class _Head(msgspec.Struct, rename="camel"):
    event_type: str | None = None
    created_date: Spelling = None
    resource: dict[str, Any] | None = None


def translate(delivery: RawDelivery) -> Disposition:
    """An operator may send no details of the resource: then nothing can be told. Raises Untranslatable."""
    head = read(delivery.body, _Head)
    name = head.event_type or ""
    row = KINDS.get(name)
    if row is None:
        return NO_FACT if name.startswith(PUBLISHER_FAMILIES) else Ignored("unknown_event")
    if not head.resource or set(head.resource) <= {"id", "url", "pullRequestId"}:
        return NO_FACT
    told = row(name, msgspec.json.encode(head.resource), head, delivery)
    return told if isinstance(told, Ignored) else Events(told)


Told = tuple[Event, ...] | Ignored


def _change(name: str, resource: bytes, head: _Head, delivery: RawDelivery) -> Told:
    """`merged` means that a merge was tried: only the status says whether it is."""
    change = read(resource, _PullRequest)
    state = STATES.get(change.status or "", "open")
    kind: type[events.Change] = {"merged": events.ChangeMerged, "closed": events.ChangeClosed}.get(
        state, events.ChangeUpdated
    )
    if name == "git.pullrequest.created":
        kind = events.ChangeOpened
    created_at, closed_at = moment("creationDate", change.creation_date), moment("closedDate", change.closed_date)
    told_at = moment("createdDate", head.created_date)
    at = {events.ChangeOpened: created_at, events.ChangeMerged: closed_at, events.ChangeClosed: closed_at}.get(kind)
    at = at or told_at
    return (
        kind(
            occurred_at=at or delivery.received_at,
            time_is_received=at is None,
            repository=_repository(change.repository),
            number=change.pull_request_id,
            title=change.title or "",
            author=_who(change.created_by),
            action=name.removeprefix("git.pullrequest."),
            state=state,
            draft=bool(change.is_draft),
            base_ref=branch_of(change.target_ref_name),
            head_ref=branch_of(change.source_ref_name),
            head_sha=_id(change.last_merge_source_commit),
            merge_sha=_id(change.last_merge_commit) or None if state == "merged" else None,
            opened_at=created_at,
            merged_at=closed_at if state == "merged" else None,
            closed_at=closed_at,
            url=change.url or "",
        ),
        *_reviews(change, state, at or delivery.received_at, delivery),
    )


def _reviews(change: _PullRequest, state: str, at: Any, delivery: RawDelivery) -> list[Event]:
    """Votes come with the change: each that says something is a review."""
    return [
        events.ChangeReviewed(
            occurred_at=at,
            repository=_repository(change.repository),
            number=change.pull_request_id,
            title=change.title or "",
            author=_who(change.created_by),
            state=state,
            head_sha=_id(change.last_merge_source_commit),
            review_id=f"{_who(reviewer)}:{reviewer.vote}",
            reviewer=_who(reviewer),
            review_state=VOTES[reviewer.vote or 0],
        )
        for reviewer in change.reviewers or ()
        if reviewer.vote in VOTES
    ]


class _Comment(msgspec.Struct, rename="camel"):
    id: int
    author: _Person | None = None
    published_date: Spelling = None


class _Commented(msgspec.Struct, rename="camel"):
    comment: _Comment
    pull_request: _PullRequest


def _comment(_: str, resource: bytes, head: _Head, delivery: RawDelivery) -> Told:
    body = read(resource, _Commented)
    at = moment("publishedDate", body.comment.published_date) or moment("createdDate", head.created_date)
    return (
        events.ChangeCommented(
            occurred_at=at or delivery.received_at,
            time_is_received=at is None,
            repository=_repository(body.pull_request.repository),
            number=body.pull_request.pull_request_id,
            comment_id=str(body.comment.id),
            author=_who(body.comment.author),
        ),
    )


def _push(_: str, resource: bytes, head: _Head, delivery: RawDelivery) -> Told:
    """One event per ref; a commit is listed with the first."""
    push = read(resource, _Push)
    at = moment("date", push.date) or moment("createdDate", head.created_date)
    commits = [
        events.Commit(
            sha=each.commit_id,
            authored_at=authored_at,
            author=(each.author and each.author.name) or "",
            message=each.comment or "",
        )
        for each in reversed(push.commits or ())
        if each.author and (authored_at := moment("author.date", each.author.date))
    ]
    told = tuple(
        events.CommitsPushed(
            occurred_at=at or delivery.received_at,
            time_is_received=at is None,
            repository=_repository(push.repository),
            ref=update.name,
            branch=branch_of(update.name),
            before=update.old_object_id,
            after=update.new_object_id,
            default_branch=branch_of(push.repository.default_branch),
            actor=_who(push.pushed_by),
            commits=tuple(commits) if index == 0 else (),
        )
        for index, update in enumerate(push.ref_updates)
        if update.new_object_id != NO_COMMIT
    )
    return told or NO_FACT


def _build(_: str, resource: bytes, head: _Head, delivery: RawDelivery) -> Told:
    """Old builds name the commit at the end of `LG:refs/heads/main:<sha>`."""
    build = read(resource, _Build)
    found = SOURCE_VERSION.search(build.source_get_version or "")
    word = build.result or build.status or ""
    at = moment("finishTime", build.finish_time) or moment("createdDate", head.created_date)
    return (
        events.BuildFinished(
            occurred_at=at or delivery.received_at,
            time_is_received=at is None,
            repository="",
            build_id=str(build.id),
            name=(build.definition and build.definition.name) or build.build_number or "",
            branch=branch_of(build.source_branch) or _branch_in(build.source_get_version),
            sha=sha_of(build.source_version) or (found[1] if found else ""),
            started_at=moment("startTime", build.start_time),
            outcome=outcome(word),
            platform_outcome=word,
            url=build.url or "",
        ),
    )


def _run(_: str, resource: bytes, head: _Head, delivery: RawDelivery) -> Told:
    body = read(resource, _RunChanged)
    run = body.run
    created_at, finished_at = moment("createdDate", run.created_date), moment("finishedDate", run.finished_date)
    common: dict[str, Any] = {
        "repository": "",
        "build_id": f"run:{run.id}",
        "name": (body.pipeline and body.pipeline.name) or run.name or "",
        "started_at": created_at,
    }
    if run.state == "inProgress":
        return (events.BuildStarted(occurred_at=created_at or delivery.received_at, **common),)
    if run.state != "completed":
        return NO_FACT
    at = finished_at or moment("createdDate", head.created_date) or delivery.received_at
    return (
        events.BuildFinished(occurred_at=at, outcome=outcome(run.result), platform_outcome=run.result or "", **common),
    )


def _deployment(name: str, resource: bytes, head: _Head, delivery: RawDelivery) -> Told:
    """Classic releases: one stage of one release is one deployment."""
    body = read(resource, _ReleaseDeployment)
    release, environment = body.release or _ReleaseName(), body.environment
    at = moment("createdDate", head.created_date) or delivery.received_at
    common: dict[str, Any] = {
        "occurred_at": at,
        "repository": "",
        "deployment_id": f"{release.id or release.name or ''}:{environment.id or environment.name or ''}",
        "environment": environment.name or "",
        "service_name": (body.release_definition and body.release_definition.name) or "",
        "ref": release.name or "",
    }
    if name.endswith("started-event"):
        return (events.DeploymentStarted(**common),)
    return (
        events.DeploymentFinished(
            outcome=outcome(environment.status), platform_outcome=environment.status or "", **common
        ),
    )


def _ticket(name: str, resource: bytes, head: _Head, delivery: RawDelivery) -> Told:
    """An update holds what changed in `fields`, and the whole of it in `revision`."""
    item = read(resource, _WorkItem)
    whole = item.revision or item
    number = item.work_item_id or item.id
    if number is None:
        raise Untranslatable("resource.id is missing")
    fields = whole.fields or {}
    status = _text(fields, "System.State")
    closed = status.lower() in CLOSED
    changed = item.fields or {}
    kind: type[events.Ticket] = events.TicketUpdated
    if name == "workitem.created":
        kind = events.TicketCreated
    elif closed and "System.State" in changed:
        kind = events.TicketClosed
    at = moment("createdDate", head.created_date) or delivery.received_at
    return (
        kind(
            occurred_at=at,
            project=_text(fields, "System.TeamProject"),
            key=f"#{number}",
            ticket_id=str(number),
            title=_text(fields, "System.Title"),
            state="closed" if closed else "open",
            status=status,
            status_before=_old(changed.get("System.State")),
            ticket_type=_text(fields, "System.WorkItemType"),
            closed_at=at if kind is events.TicketClosed else None,
        ),
    )


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _old(change: Any) -> str:
    old = change.get("oldValue") if isinstance(change, dict) else None
    return old if isinstance(old, str) else ""


def _branch_in(version: str | None) -> str:
    parts = (version or "").split(":")
    return branch_of(parts[1]) if len(parts) > 1 else ""


def _repository(repository: _Repository) -> str:
    project = (repository.project and repository.project.name) or ""
    name = repository.name or ""
    return f"{project}/{name}" if project else name


def _who(person: _Person | None) -> str:
    return (person and (person.unique_name or person.display_name)) or ""


def _id(commit: _Commit | None) -> str:
    return (commit and commit.commit_id) or ""


KINDS: dict[str, Callable[[str, bytes, _Head, RawDelivery], Told]] = {
    "git.pullrequest.created": _change,
    "git.pullrequest.updated": _change,
    "git.pullrequest.merged": _change,
    "ms.vss-code.git-pullrequest-comment-event": _comment,
    "git.push": _push,
    "build.complete": _build,
    "ms.vss-pipelines.run-state-changed-event": _run,
    "ms.vss-release.deployment-started-event": _deployment,
    "ms.vss-release.deployment-completed-event": _deployment,
    "workitem.created": _ticket,
    "workitem.updated": _ticket,
}
