"""What metrics-svc says of its numbers."""

from datetime import date

import msgspec

from shared.contracts.events.base import Event, Instant


class Numbers(msgspec.Struct, frozen=True, kw_only=True):
    """A day of a service in an environment. Times in seconds; a median is null where `…_n` is 0."""

    deployments: int
    failed: int
    rework: int
    lead_n: int
    lead_p50_s: float | None
    recovery_n: int
    recovery_p50_s: float | None


class MetricChanged(Event, frozen=True, kw_only=True, tag="metric.changed"):
    """A day (UTC) is not what it was; `before` or `after` is null where there was, or is, nothing.

    `revision` grows with each change of the day; `deliveries` caused this one.
    """

    service: str
    environment: str
    day: date
    revision: int
    before: Numbers | None = None
    after: Numbers | None = None
    deliveries: tuple[str, ...] = ()


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """A number of a week and of the week before; null where its n is 0. `unit` is that of the API: seconds, ratio …"""

    metric: str
    unit: str
    value: float | None
    n: int
    before: float | None
    before_n: int


class ServiceWeek(msgspec.Struct, frozen=True, kw_only=True):
    service: str
    numbers: tuple[Compared, ...]


class StageChange(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of the median change lead time that a stage made up in the week before, and in this one."""

    stage: str
    before_s: float
    after_s: float


class MetricSummarized(Event, frozen=True, kw_only=True, tag="metric.summarized"):
    """How delivery of a team went in a week, beside the week before. `week` is its Monday (UTC).

    `numbers` are those of the whole team, over all samples of its services; `services` are those that shipped or
    recovered in one of the weeks. `because` sums to the difference of the team's two median lead times; it is empty
    where one week has none. `team` is empty for services without one.
    """

    team: str
    week: date
    numbers: tuple[Compared, ...]
    services: tuple[ServiceWeek, ...]
    because: tuple[StageChange, ...] = ()


class MetricShifted(Event, frozen=True, kw_only=True, tag="metric.shifted"):
    """A weekly series of a service has another level since the Monday `since`: medians before and after."""

    service: str
    team: str
    metric: str
    unit: str
    since: date
    before: float
    after: float


class MetricSignalled(Event, frozen=True, kw_only=True, tag="metric.signalled"):
    """Something needs attention since just now: told when a threshold is crossed, and again only after it was not.

    `subject` is `owner/repo#number`, or the service where it is about that. `since` is when it began, `occurred_at`
    when that was too long ago. `threshold`: hours, or changes in progress. `author`: the person, where the catalog
    knows.
    """

    signal: str  # stale_change, change_without_review, change_without_ticket, wip_limit_exceeded
    service: str
    team: str
    subject: str
    since: Instant
    detail: str = ""
    threshold: float | None = None
    author: str = ""
    url: str = ""
