"""Bitbucket: Cloud and Data Center speak two dialects, told apart by the event's name."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from normalizer.bodies import Count, moment, needed_moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from normalizer.words import branch_of, outcome
from shared.contracts import events
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import Event

NO_COMMIT = "0" * 40
NO_FACT = Ignored("no_fact")
FAMILIES = ("pullrequest:", "pr:", "repo:", "issue:", "project:", "mirror:")
Told = tuple[Event, ...] | Ignored

# ---- Cloud ---------------------------------------------------------------------------------------------------------

CLOUD_CHANGES: dict[str, type[events.Change]] = {
    "pullrequest:created": events.ChangeOpened,
    "pullrequest:updated": events.ChangeUpdated,
    "pullrequest:fulfilled": events.ChangeMerged,
    "pullrequest:rejected": events.ChangeClosed,
    "pullrequest:approved": events.ChangeReviewed,
    "pullrequest:unapproved": events.ChangeReviewed,
    "pullrequest:changes_request_created": events.ChangeReviewed,
    "pullrequest:changes_request_removed": events.ChangeReviewed,
}
CLOUD_REVIEWS = {
    "pullrequest:approved": "approved",
    "pullrequest:unapproved": "dismissed",
    "pullrequest:changes_request_created": "changes_requested",
    "pullrequest:changes_request_removed": "dismissed",
}
CLOUD_STATES = {"OPEN": "open", "MERGED": "merged", "DECLINED": "closed", "SUPERSEDED": "closed"}
ENDED_TICKETS = frozenset({"resolved", "duplicate", "invalid", "wontfix", "closed"})


class _Person(msgspec.Struct):
    """User names are gone; nicknames are what people see."""

    nickname: str | None = None
    username: str | None = None
    display_name: str | None = None
    account_id: str | None = None


class _Repository(msgspec.Struct):
    full_name: str


class _Branch(msgspec.Struct):
    name: str | None = None


class _Commit(msgspec.Struct):
    hash: str | None = None


class _End(msgspec.Struct):
    branch: _Branch | None = None
    commit: _Commit | None = None


class _Href(msgspec.Struct):
    href: str | None = None


class _Links(msgspec.Struct):
    html: _Href | None = None


class _Change(msgspec.Struct):
    id: Count
    title: str | None = None
    state: str | None = None
    draft: bool | None = None
    author: _Person | None = None
    source: _End | None = None
    destination: _End | None = None
    merge_commit: _Commit | None = None
    created_on: Spelling = None
    updated_on: Spelling = None
    links: _Links | None = None


class _Approval(msgspec.Struct):
    date: Spelling = None
    user: _Person | None = None


class _ChangeBody(msgspec.Struct):
    repository: _Repository
    pullrequest: _Change
    actor: _Person | None = None
    approval: _Approval | None = None
    changes_request: _Approval | None = None


class _Comment(msgspec.Struct):
    id: int
    user: _Person | None = None
    created_on: Spelling = None
    links: _Links | None = None


class _Numbered(msgspec.Struct):
    id: Count


class _CommentBody(msgspec.Struct):
    repository: _Repository
    pullrequest: _Numbered
    comment: _Comment
    actor: _Person | None = None


class _Author(msgspec.Struct):
    raw: str | None = None
    user: _Person | None = None


class _Listed(msgspec.Struct):
    hash: str
    date: Spelling = None
    message: str | None = None
    author: _Author | None = None


class _Target(msgspec.Struct):
    hash: str | None = None


class _Ref(msgspec.Struct):
    name: str | None = None
    type: str | None = None
    target: _Target | None = None


class _RefChange(msgspec.Struct):
    new: _Ref | None = None
    old: _Ref | None = None
    forced: bool | None = None
    commits: list[_Listed] | None = None


class _Changes(msgspec.Struct):
    changes: list[_RefChange]


class _PushBody(msgspec.Struct):
    repository: _Repository
    push: _Changes
    actor: _Person | None = None


class _Status(msgspec.Struct):
    key: str
    state: str | None = None
    name: str | None = None
    refname: str | None = None
    url: str | None = None
    commit: _Commit | None = None
    created_on: Spelling = None
    updated_on: Spelling = None


class _StatusBody(msgspec.Struct):
    repository: _Repository
    commit_status: _Status


class _Issue(msgspec.Struct):
    id: Count
    title: str | None = None
    state: str | None = None
    type: str | None = None
    priority: str | None = None
    reporter: _Person | None = None
    created_on: Spelling = None
    updated_on: Spelling = None


class _Old(msgspec.Struct):
    old: str | None = None
    new: str | None = None


class _IssueChanges(msgspec.Struct):
    status: _Old | None = None


class _IssueBody(msgspec.Struct):
    repository: _Repository
    issue: _Issue
    actor: _Person | None = None
    changes: _IssueChanges | None = None


def _cloud_change(name: str, delivery: RawDelivery) -> Told:
    """Hashes have twelve digits here. There is no time of the merge but that of the update."""
    body = read(delivery.body, _ChangeBody)
    change = body.pullrequest
    kind = CLOUD_CHANGES[name]
    created_at = moment("pullrequest.created_on", change.created_on)
    updated_at = moment("pullrequest.updated_on", change.updated_on)
    review = body.approval or body.changes_request or _Approval()
    reviewed_at = moment("approval.date", review.date)
    at = {events.ChangeOpened: created_at, events.ChangeReviewed: reviewed_at}.get(kind) or updated_at
    state = CLOUD_STATES.get(change.state or "", "open")
    state = {events.ChangeMerged: "merged", events.ChangeClosed: "closed"}.get(kind, state)
    source, destination = change.source or _End(), change.destination or _End()
    who = _name(review.user or body.actor)
    extra: dict[str, Any] = {}
    if kind is events.ChangeReviewed:
        extra = {"review_id": f"{who}:{delivery.delivery}", "reviewer": who, "review_state": CLOUD_REVIEWS[name]}
    return (
        kind(
            occurred_at=at or delivery.received_at,
            time_is_received=at is None,
            repository=body.repository.full_name,
            number=change.id,
            title=change.title or "",
            author=_name(change.author),
            actor=_name(body.actor),
            action=name.partition(":")[2],
            state=state,
            draft=bool(change.draft),
            base_ref=(destination.branch and destination.branch.name) or "",
            head_ref=(source.branch and source.branch.name) or "",
            head_sha=(source.commit and source.commit.hash) or "",
            merge_sha=(change.merge_commit and change.merge_commit.hash) or None if state == "merged" else None,
            opened_at=created_at,
            merged_at=updated_at if kind is events.ChangeMerged else None,
            closed_at=updated_at if kind in (events.ChangeMerged, events.ChangeClosed) else None,
            url=_url(change.links),
            **extra,
        ),
    )


def _cloud_comment(_: str, delivery: RawDelivery) -> Told:
    body = read(delivery.body, _CommentBody)
    return (
        events.ChangeCommented(
            occurred_at=needed_moment("comment.created_on", body.comment.created_on),
            repository=body.repository.full_name,
            number=body.pullrequest.id,
            comment_id=str(body.comment.id),
            author=_name(body.comment.user or body.actor),
            url=_url(body.comment.links),
        ),
    )


def _cloud_push(_: str, delivery: RawDelivery) -> Told:
    """One event per ref; no time of the push is told, and only the newest commits are listed, newest first."""
    body = read(delivery.body, _PushBody)
    told = []
    for change in body.push.changes:
        new, old = change.new, change.old or _Ref()
        after = (new and new.target and new.target.hash) or ""
        if new is None or not after:
            continue
        is_branch = new.type != "tag" and new.type != "annotated_tag"
        told.append(
            events.CommitsPushed(
                occurred_at=delivery.received_at,
                time_is_received=True,
                repository=body.repository.full_name,
                ref=f"refs/{'heads' if is_branch else 'tags'}/{new.name or ''}",
                branch=(new.name or "") if is_branch else "",
                before=(old.target and old.target.hash) or NO_COMMIT,
                after=after,
                forced=bool(change.forced),
                actor=_name(body.actor),
                commits=tuple(_listed(change.commits or ())) if is_branch else (),
            )
        )
    return tuple(told) or NO_FACT


def _listed(commits: Any) -> list[events.Commit]:
    return [
        events.Commit(
            sha=commit.hash,
            authored_at=at,
            author=_name(commit.author and commit.author.user) or (commit.author and commit.author.raw) or "",
            message=commit.message or "",
        )
        for index, commit in enumerate(reversed(commits))
        if (at := moment(f"commits[{index}].date", commit.date))
    ]


def _cloud_status(_: str, delivery: RawDelivery) -> Told:
    """A status of a commit is how pipelines tell of a build."""
    body = read(delivery.body, _StatusBody)
    status = body.commit_status
    sha = (status.commit and status.commit.hash) or ""
    created_at = moment("commit_status.created_on", status.created_on)
    updated_at = moment("commit_status.updated_on", status.updated_on) or created_at
    common: dict[str, Any] = {
        "repository": body.repository.full_name,
        "build_id": f"{sha}:{status.key}",
        "name": status.name or status.key,
        "branch": branch_of(status.refname),
        "sha": sha,
        "started_at": created_at,
        "url": status.url or "",
    }
    if status.state == "INPROGRESS":
        return (events.BuildStarted(occurred_at=created_at or delivery.received_at, **common),)
    if status.state not in ("SUCCESSFUL", "FAILED", "STOPPED"):
        return Ignored("unknown_event")
    return (
        events.BuildFinished(
            occurred_at=updated_at or delivery.received_at,
            time_is_received=updated_at is None,
            outcome=outcome(status.state),
            platform_outcome=status.state,
            **common,
        ),
    )


def _cloud_issue(name: str, delivery: RawDelivery) -> Told:
    body = read(delivery.body, _IssueBody)
    issue = body.issue
    change = (body.changes and body.changes.status) or _Old()
    ended = change.new in ENDED_TICKETS and change.old not in ENDED_TICKETS
    kind: type[events.Ticket] = events.TicketClosed if ended else events.TicketUpdated
    if name == "issue:created":
        kind = events.TicketCreated
    created_at, updated_at = moment("issue.created_on", issue.created_on), moment("issue.updated_on", issue.updated_on)
    at = created_at if kind is events.TicketCreated else updated_at
    return (
        kind(
            occurred_at=at or delivery.received_at,
            time_is_received=at is None,
            project=body.repository.full_name,
            key=f"#{issue.id}",
            title=issue.title or "",
            state="closed" if issue.state in ENDED_TICKETS or ended else "open",
            action=name.partition(":")[2],
            author=_name(issue.reporter),
            actor=_name(body.actor),
            status=issue.state or "",
            status_before=change.old or "",
            ticket_type=issue.type or "",
            priority=issue.priority or "",
            opened_at=created_at,
            closed_at=updated_at if kind is events.TicketClosed else None,
        ),
    )


# ---- Data Center ---------------------------------------------------------------------------------------------------

SERVER_CHANGES: dict[str, type[events.Change]] = {
    "pr:opened": events.ChangeOpened,
    "pr:modified": events.ChangeUpdated,
    "pr:from_ref_updated": events.ChangeUpdated,
    "pr:reviewer:updated": events.ChangeUpdated,
    "pr:merged": events.ChangeMerged,
    "pr:declined": events.ChangeClosed,
    "pr:deleted": events.ChangeClosed,
    "pr:reviewer:approved": events.ChangeReviewed,
    "pr:reviewer:unapproved": events.ChangeReviewed,
    "pr:reviewer:needs_work": events.ChangeReviewed,
    "pr:reviewer:changes_requested": events.ChangeReviewed,
}
SERVER_REVIEWS = {
    "pr:reviewer:approved": "approved",
    "pr:reviewer:unapproved": "dismissed",
    "pr:reviewer:needs_work": "changes_requested",
    "pr:reviewer:changes_requested": "changes_requested",
}


class _Key(msgspec.Struct):
    key: str | None = None


class _ServerRepository(msgspec.Struct):
    slug: str
    project: _Key | None = None


class _ServerRef(msgspec.Struct, rename="camel"):
    display_id: str | None = None
    latest_commit: str | None = None


class _ToRef(_ServerRef, rename="camel", kw_only=True):
    repository: _ServerRepository


class _ServerUser(msgspec.Struct):
    name: str | None = None


class _Participant(msgspec.Struct):
    user: _ServerUser | None = None


class _MergeCommit(msgspec.Struct):
    id: str | None = None


class _Properties(msgspec.Struct, rename="camel"):
    merge_commit: _MergeCommit | None = None


class _ServerChange(msgspec.Struct, rename="camel"):
    id: Count
    to_ref: _ToRef
    from_ref: _ServerRef | None = None
    title: str | None = None
    state: str | None = None
    draft: bool | None = None
    author: _Participant | None = None
    properties: _Properties | None = None
    created_date: Spelling = None
    updated_date: Spelling = None
    closed_date: Spelling = None


class _ServerBody(msgspec.Struct, rename="camel"):
    pull_request: _ServerChange
    date: Spelling = None
    actor: _ServerUser | None = None
    participant: _Participant | None = None


class _ServerComment(msgspec.Struct, rename="camel"):
    id: int
    author: _ServerUser | None = None
    created_date: Spelling = None


class _ServerCommentBody(msgspec.Struct, rename="camel"):
    pull_request: _ServerChange
    comment: _ServerComment


class _ServerRefChange(msgspec.Struct, rename="camel"):
    ref_id: str
    from_hash: str
    to_hash: str
    type: str | None = None


class _ServerPush(msgspec.Struct):
    changes: list[_ServerRefChange]
    repository: _ServerRepository
    date: Spelling = None
    actor: _ServerUser | None = None


def _server_change(name: str, delivery: RawDelivery) -> Told:
    body = read(delivery.body, _ServerBody)
    change = body.pull_request
    kind = SERVER_CHANGES[name]
    at = needed_moment("date", body.date, change.updated_date)
    created_at = moment("pullRequest.createdDate", change.created_date)
    closed_at = moment("pullRequest.closedDate", change.closed_date) or (
        at if kind in (events.ChangeMerged, events.ChangeClosed) else None
    )
    state = CLOUD_STATES.get(change.state or "", "open")
    state = {events.ChangeMerged: "merged", events.ChangeClosed: "closed"}.get(kind, state)
    who = _server_name((body.participant or _Participant()).user or body.actor)
    extra: dict[str, Any] = {}
    if kind is events.ChangeReviewed:
        extra = {"review_id": f"{who}:{delivery.delivery}", "reviewer": who, "review_state": SERVER_REVIEWS[name]}
    merge = change.properties and change.properties.merge_commit
    source = change.from_ref or _ServerRef()
    return (
        kind(
            occurred_at=created_at or at if kind is events.ChangeOpened else at,
            repository=_server_repository(change.to_ref.repository),
            number=change.id,
            title=change.title or "",
            author=_server_name((change.author or _Participant()).user),
            actor=_server_name(body.actor),
            action=name.partition(":")[2],
            state=state,
            draft=bool(change.draft),
            base_ref=change.to_ref.display_id or "",
            head_ref=source.display_id or "",
            head_sha=source.latest_commit or "",
            merge_sha=(merge and merge.id) or None if state == "merged" else None,
            opened_at=created_at,
            merged_at=closed_at if state == "merged" else None,
            closed_at=closed_at,
            **extra,
        ),
    )


def _server_comment(_: str, delivery: RawDelivery) -> Told:
    body = read(delivery.body, _ServerCommentBody)
    return (
        events.ChangeCommented(
            occurred_at=needed_moment("comment.createdDate", body.comment.created_date),
            repository=_server_repository(body.pull_request.to_ref.repository),
            number=body.pull_request.id,
            comment_id=str(body.comment.id),
            author=_server_name(body.comment.author),
        ),
    )


def _server_push(_: str, delivery: RawDelivery) -> Told:
    """Refs without their commits."""
    body = read(delivery.body, _ServerPush)
    at: datetime = needed_moment("date", body.date)
    told = [
        events.CommitsPushed(
            occurred_at=at,
            repository=_server_repository(body.repository),
            ref=change.ref_id,
            branch=branch_of(change.ref_id),
            before=change.from_hash,
            after=change.to_hash,
            actor=_server_name(body.actor),
        )
        for change in body.changes
        if change.type != "DELETE" and change.to_hash != NO_COMMIT
    ]
    return tuple(told) or NO_FACT


def _server_repository(repository: _ServerRepository) -> str:
    return f"{(repository.project and repository.project.key) or ''}/{repository.slug}".lstrip("/")


def _server_name(user: _ServerUser | None) -> str:
    return (user and user.name) or ""


# ---- both ----------------------------------------------------------------------------------------------------------


def translate(delivery: RawDelivery) -> Disposition:
    """Raises Untranslatable."""
    row = KINDS.get(delivery.event)
    if row is None:
        read(delivery.body, msgspec.Raw)
        if delivery.event == "diagnostics:ping":
            return Ignored("handshake")
        return NO_FACT if delivery.event.startswith(FAMILIES) else Ignored("unknown_event")
    told = row(delivery.event, delivery)
    return told if isinstance(told, Ignored) else Events(told)


def _name(person: _Person | None) -> str:
    return (person and (person.nickname or person.username or person.display_name or person.account_id)) or ""


def _url(links: _Links | None) -> str:
    return (links and links.html and links.html.href) or ""


KINDS: dict[str, Callable[[str, RawDelivery], Told]] = {
    **dict.fromkeys(CLOUD_CHANGES, _cloud_change),
    "pullrequest:comment_created": _cloud_comment,
    "repo:push": _cloud_push,
    "repo:commit_status_created": _cloud_status,
    "repo:commit_status_updated": _cloud_status,
    "issue:created": _cloud_issue,
    "issue:updated": _cloud_issue,
    **dict.fromkeys(SERVER_CHANGES, _server_change),
    "pr:comment:added": _server_comment,
    "repo:refs_changed": _server_push,
}
