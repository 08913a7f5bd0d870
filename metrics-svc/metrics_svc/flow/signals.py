"""What needs somebody's attention now among changes in progress. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from shared.catalog import Thresholds

STALE = "stale_change"
WITHOUT_REVIEW = "change_without_review"
WITHOUT_TICKET = "change_without_ticket"
WIP_LIMIT = "wip_limit_exceeded"
BY_HOURS = frozenset({STALE, WITHOUT_REVIEW})  # whose threshold is a time


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """`subject` is `owner/repo#n`, or the service where it is about that: then it has no `author` and no `url`.

    `threshold` is what was exceeded, in hours, or changes for the limit of those in progress; null where there is none.
    """

    kind: str
    service: str
    subject: str
    since: datetime
    detail: str
    threshold: float | None
    author: str = ""
    url: str = ""

    @property
    def crossed_at(self) -> datetime:
        """When it became too much."""
        if self.kind not in BY_HOURS or self.threshold is None:
            return self.since
        return self.since + timedelta(hours=self.threshold)


class OpenChange(msgspec.Struct, frozen=True, kw_only=True):
    """Open, ready, and by no bot. `author` is the person, where the catalog knows.

    `has_tracker`: the catalog names projects that hold the service's tickets. `sent_back`: a reviewer asked for
    changes, and said nothing else since.
    """

    service: str
    repository: str
    number: int
    title: str
    url: str
    author: str
    ready_at: datetime
    first_review_at: datetime | None
    last_activity_at: datetime | None
    ticket: str
    has_tracker: bool = False
    sent_back: bool = False

    @property
    def subject(self) -> str:
        return f"{self.repository}#{self.number}"


def signals(found: Sequence[OpenChange], thresholds: Thresholds, now: datetime) -> list[Signal]:
    """By service, kind and since when."""
    raised = [signal for each in found for signal in _of_change(each, thresholds, now)]
    raised += _over_limit(found, thresholds)
    return sorted(raised, key=lambda signal: (signal.service, signal.kind, signal.since, signal.subject))


def _of_change(change: OpenChange, thresholds: Thresholds, now: datetime) -> Iterator[Signal]:
    touched_at = change.last_activity_at or change.ready_at
    if now - touched_at > timedelta(hours=thresholds.stale_change_h):
        yield _signal(STALE, change, touched_at, thresholds.stale_change_h)
    if change.first_review_at is None and now - change.ready_at > timedelta(hours=thresholds.unreviewed_h):
        yield _signal(WITHOUT_REVIEW, change, change.ready_at, thresholds.unreviewed_h)
    if change.has_tracker and not change.ticket:
        yield _signal(WITHOUT_TICKET, change, change.ready_at, None)


def _signal(kind: str, change: OpenChange, since: datetime, threshold: float | None) -> Signal:
    return Signal(
        kind=kind,
        service=change.service,
        subject=change.subject,
        since=since,
        detail=change.title,
        threshold=threshold,
        author=change.author,
        url=change.url,
    )


def _over_limit(found: Sequence[OpenChange], thresholds: Thresholds) -> Iterator[Signal]:
    """Since the first change too many was ready."""
    limit = thresholds.wip_limit
    if limit is None:
        return
    for service in sorted({each.service for each in found}):
        ready = sorted(each.ready_at for each in found if each.service == service)
        if len(ready) > limit:
            detail = f"{len(ready)} changes in progress, the limit is {limit}"
            yield Signal(
                kind=WIP_LIMIT, service=service, subject=service, since=ready[limit], detail=detail, threshold=limit
            )
