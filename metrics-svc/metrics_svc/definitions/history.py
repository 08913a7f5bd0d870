"""What happened to one service, with nothing linked: each definition links in its own way. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

import msgspec

from metrics_svc.dora import Metric

Timeline: TypeAlias = tuple[str, str]


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment to production that ended in any way; a redeploy of what was live is one as well.

    `branch` is empty where the platform named none (a tag, a sha). `position` is how far along the default branch the
    commit is: None where it was never pushed there, or where the attempt did not succeed. `others` are what it brought
    of other repositories: each with its position.
    """

    id: str
    repository: str
    environment: str
    outcome: str  # succeeded, failed, cancelled
    finished_at: datetime
    started_at: datetime | None = None
    branch: str = ""
    position: int | None = None
    others: Sequence[tuple[str, int]] = ()

    @property
    def succeeded(self) -> bool:
        return self.outcome == "succeeded"

    @property
    def began_at(self) -> datetime:
        """Not every platform tells of a start."""
        return self.started_at or self.finished_at

    def positions(self) -> list[tuple[Timeline, int]]:
        """How far along each repository's default branch it is; the first is its own."""
        own = [] if self.position is None else [(self.repository, self.position)]
        return [((repository, self.environment), position) for repository, position in (*own, *self.others)]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A merged change. `position` is where its merge is on the default branch, None where that was not pushed.

    `approved_at` is the first approval.
    """

    id: str
    repository: str
    number: int
    head_ref: str
    base_ref: str
    merged_at: datetime
    position: int | None = None
    first_commit_at: datetime | None = None
    opened_at: datetime | None = None
    first_review_at: datetime | None = None
    approved_at: datetime | None = None


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """`resolved_at` is the last resolve that no reopening followed."""

    id: str
    opened_at: datetime
    resolved_at: datetime | None = None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """In any order; around a window, as far as the definitions look before and after it."""

    attempts: Sequence[Attempt] = ()
    changes: Sequence[Change] = ()
    incidents: Sequence[Incident] = ()

    def successes(self) -> list[Attempt]:
        """In the order they finished."""
        return sorted((a for a in self.attempts if a.succeeded), key=lambda a: (a.finished_at, a.id))


def share(part: int, whole: int) -> Metric:
    """No interval: these tools show none."""
    return Metric(value=part / whole if whole else None, unit="ratio", n=whole)
