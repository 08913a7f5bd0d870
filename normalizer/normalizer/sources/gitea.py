"""Gitea and Forgejo: changes, commits, releases and issues. Bodies resemble GitHub's and are not equal to them."""

from collections.abc import Callable
from typing import Any

import msgspec

from normalizer.bodies import Count, form, is_json, moment, needed_moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from normalizer.touching import Touching, bounded
from normalizer.words import branch_of
from shared.contracts import events
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import Event

NO_COMMIT = "0" * 40
NO_FACT = Ignored("no_fact")
CHANGES: dict[str, type[events.Change]] = {"opened": events.ChangeOpened, "closed": events.ChangeClosed}
REVIEWS = {
    "pull_request_approved": "approved",
    "pull_request_rejected": "changes_requested",
    "pull_request_comment": "commented",
    "pull_request_review_approved": "approved",
    "pull_request_review_rejected": "changes_requested",
    "pull_request_review_comment": "commented",
}
TICKETS: dict[str, type[events.Ticket]] = {"opened": events.TicketCreated, "closed": events.TicketClosed}
NOT_MEASURED = frozenset({"create", "delete", "fork", "repository", "wiki", "package", "status", "workflow_job"})


class _User(msgspec.Struct):
    login: str | None = None
    username: str | None = None
    name: str | None = None


class _Repository(msgspec.Struct):
    full_name: str
    default_branch: str | None = None


class _Body(msgspec.Struct, kw_only=True):
    repository: _Repository
    action: str | None = None
    sender: _User | None = None


class _Ref(msgspec.Struct):
    ref: str | None = None
    sha: str | None = None


class _Label(msgspec.Struct):
    name: str | None = None


class _PullRequest(msgspec.Struct):
    number: Count
    title: str | None = None
    user: _User | None = None
    state: str | None = None
    draft: bool | None = None
    merged: bool | None = None
    merge_commit_sha: str | None = None
    base: _Ref | None = None
    head: _Ref | None = None
    labels: list[_Label] | None = None
    additions: Count | None = None
    deletions: Count | None = None
    changed_files: Count | None = None
    created_at: Spelling = None
    updated_at: Spelling = None
    merged_at: Spelling = None
    closed_at: Spelling = None
    html_url: str | None = None


class _PullRequestBody(_Body, kw_only=True):
    pull_request: _PullRequest


class _Commit(Touching):
    id: str
    message: str | None = None
    timestamp: Spelling = None
    author: _User | None = None


class _PushBody(_Body, kw_only=True):
    ref: str
    before: str
    after: str
    commits: list[_Commit] | None = None
    pusher: _User | None = None


class _Release(msgspec.Struct):
    tag_name: str
    name: str | None = None
    target_commitish: str | None = None
    prerelease: bool | None = None
    author: _User | None = None
    published_at: Spelling = None
    created_at: Spelling = None
    html_url: str | None = None


class _ReleaseBody(_Body, kw_only=True):
    release: _Release


class _Issue(msgspec.Struct):
    number: Count
    title: str | None = None
    state: str | None = None
    user: _User | None = None
    labels: list[_Label] | None = None
    created_at: Spelling = None
    updated_at: Spelling = None
    closed_at: Spelling = None
    html_url: str | None = None


class _IssueBody(_Body, kw_only=True):
    issue: _Issue


class _Comment(msgspec.Struct):
    id: int
    user: _User | None = None
    created_at: Spelling = None
    html_url: str | None = None


class _Numbered(msgspec.Struct):
    number: Count
    pull_request: Any = None


class _CommentBody(_Body, kw_only=True):
    comment: _Comment
    issue: _Numbered
    is_pull: bool | None = None


def translate(delivery: RawDelivery) -> Disposition:
    """Only the header names the event. Raises Untranslatable."""
    json = delivery.body if is_json(delivery.body) else form(delivery.body).get("payload", "").encode()
    row = KINDS.get(delivery.event)
    if row is None:
        read(json, msgspec.Raw)
        return NO_FACT if delivery.event in NOT_MEASURED else Ignored("unknown_event")
    result = row(json, delivery)
    return result if isinstance(result, Ignored) else Events((result,))


def _change(json: bytes, delivery: RawDelivery) -> Event | Ignored:
    """Reviews are events of their own name."""
    body = read(json, _PullRequestBody)
    change = body.pull_request
    state = "merged" if change.merged else "closed" if change.state == "closed" else "open"
    review = REVIEWS.get(delivery.event)
    kind: type[events.Change] = CHANGES.get(body.action or "", events.ChangeUpdated)
    if review:
        kind = events.ChangeReviewed
    elif kind is events.ChangeClosed and change.merged:
        kind = events.ChangeMerged
    times = {
        events.ChangeOpened: moment("pull_request.created_at", change.created_at),
        events.ChangeMerged: moment("pull_request.merged_at", change.merged_at),
        events.ChangeClosed: moment("pull_request.closed_at", change.closed_at),
    }
    at = times.get(kind) or moment("pull_request.updated_at", change.updated_at)
    base, head = change.base or _Ref(), change.head or _Ref()
    who = _name(body.sender)
    extra: dict[str, Any] = {}
    if review:
        extra = {"review_id": f"{who}:{delivery.delivery}", "reviewer": who, "review_state": review}
    return kind(
        occurred_at=at or delivery.received_at,
        time_is_received=at is None,
        repository=body.repository.full_name,
        number=change.number,
        title=change.title or "",
        author=_name(change.user),
        actor=who,
        action=body.action or "",
        state=state,
        draft=bool(change.draft),
        base_ref=base.ref or "",
        head_ref=head.ref or "",
        head_sha=head.sha or "",
        merge_sha=change.merge_commit_sha if change.merged else None,
        opened_at=times[events.ChangeOpened],
        merged_at=times[events.ChangeMerged],
        closed_at=times[events.ChangeClosed],
        additions=change.additions,
        deletions=change.deletions,
        changed_files=change.changed_files,
        labels=tuple(label.name for label in change.labels or () if label.name),
        url=change.html_url or "",
        **extra,
    )


def _push(json: bytes, delivery: RawDelivery) -> Event | Ignored:
    """No time of the push is told; a commit without one of its own is known by the branch alone."""
    body = read(json, _PushBody)
    if body.after == NO_COMMIT:
        return NO_FACT
    commits = [
        events.Commit(
            sha=commit.id,
            authored_at=at,
            author=_name(commit.author),
            message=commit.message or "",
            files=commit.files(),
        )
        for index, commit in enumerate(body.commits or ())
        if (at := moment(f"commits[{index}].timestamp", commit.timestamp))
    ]
    return events.CommitsPushed(
        occurred_at=delivery.received_at,
        time_is_received=True,
        repository=body.repository.full_name,
        ref=body.ref,
        branch=branch_of(body.ref),
        before=body.before,
        after=body.after,
        default_branch=body.repository.default_branch or "",
        actor=_name(body.pusher or body.sender),
        commits=bounded(commits[::-1] if commits and commits[0].sha == body.after else commits),  # oldest first
    )


def _release(json: bytes, _: RawDelivery) -> Event | Ignored:
    body = read(json, _ReleaseBody)
    if body.action != "published":
        return NO_FACT
    release = body.release
    return events.ReleasePublished(
        occurred_at=needed_moment("release.published_at", release.published_at, release.created_at),
        repository=body.repository.full_name,
        tag=release.tag_name,
        name=release.name or "",
        target=release.target_commitish or "",
        prerelease=bool(release.prerelease),
        author=_name(release.author),
        url=release.html_url or "",
    )


def _issue(json: bytes, delivery: RawDelivery) -> Event | Ignored:
    body = read(json, _IssueBody)
    issue = body.issue
    kind = TICKETS.get(body.action or "", events.TicketUpdated)
    opened_at, closed_at = moment("issue.created_at", issue.created_at), moment("issue.closed_at", issue.closed_at)
    updated_at = moment("issue.updated_at", issue.updated_at)
    at = {events.TicketCreated: opened_at, events.TicketClosed: closed_at}.get(kind) or updated_at
    return kind(
        occurred_at=at or delivery.received_at,
        time_is_received=at is None,
        project=body.repository.full_name,
        key=f"#{issue.number}",
        title=issue.title or "",
        state="closed" if issue.state == "closed" else "open",
        action=body.action or "",
        author=_name(issue.user),
        actor=_name(body.sender),
        labels=tuple(label.name for label in issue.labels or () if label.name),
        opened_at=opened_at,
        closed_at=closed_at,
        url=issue.html_url or "",
    )


def _comment(json: bytes, _: RawDelivery) -> Event | Ignored:
    body = read(json, _CommentBody)
    if body.action != "created" or not (body.is_pull or body.issue.pull_request):
        return NO_FACT
    return events.ChangeCommented(
        occurred_at=needed_moment("comment.created_at", body.comment.created_at),
        repository=body.repository.full_name,
        number=body.issue.number,
        comment_id=str(body.comment.id),
        author=_name(body.comment.user),
        url=body.comment.html_url or "",
    )


def _name(user: _User | None) -> str:
    return (user and (user.login or user.username or user.name)) or ""


KINDS: dict[str, Callable[[bytes, RawDelivery], Event | Ignored]] = {
    "pull_request": _change,
    "pull_request_sync": _change,
    "pull_request_label": _change,
    "pull_request_assign": _change,
    "pull_request_milestone": _change,
    "pull_request_review_request": _change,
    **dict.fromkeys(REVIEWS, _change),
    "push": _push,
    "release": _release,
    "issues": _issue,
    "issue_assign": _issue,
    "issue_label": _issue,
    "issue_comment": _comment,
}
