"""Changes (pull and merge requests): every kind carries the whole snapshot, so that any order ends in the same row."""

from shared.contracts.events.base import Event, Instant


class Change(Event, frozen=True, kw_only=True):
    """`action` keeps the platform's own word (`synchronize`); `author_kind` is `human` or `bot`.

    `head_sha` and `merge_sha` are 40 digits, or the first 12 where the platform says no more (Bitbucket Cloud).
    """

    repository: str
    number: int
    title: str
    author: str
    state: str  # open, merged, closed
    draft: bool = False
    author_kind: str = "human"
    actor: str = ""
    action: str = ""
    base_ref: str = ""
    head_ref: str = ""
    head_sha: str = ""
    merge_sha: str | None = None
    opened_at: Instant | None = None
    merged_at: Instant | None = None
    closed_at: Instant | None = None
    additions: int | None = None
    deletions: int | None = None
    changed_files: int | None = None
    labels: tuple[str, ...] = ()
    url: str = ""


class ChangeOpened(Change, frozen=True, kw_only=True, tag="change.opened"): ...


class ChangeUpdated(Change, frozen=True, kw_only=True, tag="change.updated"): ...


class ChangeReady(Change, frozen=True, kw_only=True, tag="change.ready"): ...


class ChangeMerged(Change, frozen=True, kw_only=True, tag="change.merged"): ...


class ChangeClosed(Change, frozen=True, kw_only=True, tag="change.closed"): ...


class ChangeReviewed(Change, frozen=True, kw_only=True, tag="change.reviewed"):
    review_id: str
    reviewer: str
    review_state: str  # approved, changes_requested, commented, dismissed


class ChangeCheckRequested(Event, frozen=True, kw_only=True, tag="change.check_requested"):
    """A change that may not be merged before we answer for `head_sha`. `author` empty: the platform doesn't say."""

    repository: str
    number: int
    check_id: str
    check_name: str
    head_sha: str
    base_ref: str
    head_ref: str = ""
    title: str = ""
    author: str = ""
    actor: str = ""
    url: str = ""


class ChangeCommented(Event, frozen=True, kw_only=True, tag="change.commented"):
    """Comments come with the thread, not with the change's snapshot, on some platforms."""

    repository: str
    number: int
    comment_id: str
    author: str
    author_kind: str = "human"
    url: str = ""
