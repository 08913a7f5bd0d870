"""How approvals of a time went: who asked, who decided, how fast, and what took too long. Pure."""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import msgspec

from shared.catalog import Catalog
from shared.contracts.events import ApprovalNumbers, ApprovalSummarized, ServiceApprovals
from shared.contracts.ids import step_of_entity
from shared.contracts.services import APPROVALS_SVC

WEEK = timedelta(days=7)
TOLD_AFTER = timedelta(hours=6)
BROKEN_MAX = 20
SPAN_MAX = timedelta(days=366)


class InvalidSpan(ValueError):
    """Nothing can be told of it; the text says why."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """[start, end)."""

    start: datetime
    end: datetime

    def holds(self, moment: datetime | None) -> bool:
        return moment is not None and self.start <= moment < self.end


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An approval that was asked before the end of a span and not decided before its start.

    `by_rule`: it asked nobody. `decision` is what it came to, whatever was done of it since.
    """

    id: int
    service: str
    by_rule: bool
    created_at: datetime
    decision: str
    decided_at: datetime | None
    broken_by: str

    @property
    def took(self) -> timedelta:
        return (self.decided_at or self.created_at) - self.created_at


class TeamSummary(msgspec.Struct, frozen=True, kw_only=True):
    """`team` is empty for services without one; `services` by name."""

    team: str
    numbers: ApprovalNumbers
    services: tuple[ServiceApprovals, ...]


def monday_due(now: datetime) -> datetime | None:
    """The Monday (UTC) that ended the week to tell of; None before its 06:00. `now` is in UTC."""
    monday = last_monday(now)
    return monday if now - monday >= TOLD_AFTER else None


def last_monday(now: datetime) -> datetime:
    """Its first moment in UTC, which `now` is in."""
    return datetime.combine(now.date() - timedelta(days=now.weekday()), time(), UTC)


def asked(start: datetime | None, end: datetime | None, *, now: datetime) -> Span:
    """Without both: the week that ended last; without a start: the week before the end. What lies ahead is not told
    of. All in UTC. Raises InvalidSpan."""
    until = min(end, now) if end else now if start else last_monday(now)
    since = start or until - WEEK
    if since >= until:
        raise InvalidSpan("`from` must lie before `to`, and before now")
    if until - since > SPAN_MAX:
        raise InvalidSpan(f"from `from` to `to` are more than {SPAN_MAX.days} days")
    return Span(start=since, end=until)


def by_team(rows: Iterable[Row], span: Span, catalog: Catalog, *, sla: timedelta) -> list[TeamSummary]:
    """By name; the numbers of a team are over all approvals of its services."""
    of_team: dict[str, dict[str, list[Row]]] = {}
    for row in rows:
        of_team.setdefault(catalog.team_of(row.service), {}).setdefault(row.service, []).append(row)
    return [
        TeamSummary(
            team=team,
            numbers=numbers([row for each in of_service.values() for row in each], span, sla=sla),
            services=tuple(
                ServiceApprovals(service=service, numbers=numbers(each, span, sla=sla))
                for service, each in sorted(of_service.items())
            ),
        )
        for team, of_service in sorted(of_team.items())
    ]


def numbers(rows: Sequence[Row], span: Span, *, sla: timedelta) -> ApprovalNumbers:
    ended = [row for row in rows if span.holds(row.decided_at)]
    decided = [row for row in ended if row.decision in ("approved", "rejected") and not row.by_rule]
    expired = [row for row in ended if row.decision == "expired"]
    waiting = [row for row in rows if row.decided_at is None or row.decided_at >= span.end]
    oldest = min(waiting, key=lambda row: (row.created_at, row.id), default=None)
    times = sorted(row.took.total_seconds() for row in decided)
    return ApprovalNumbers(
        asked=sum(span.holds(row.created_at) for row in rows),
        decided=len(decided),
        declined=sum(row.decision == "rejected" for row in decided),
        auto=sum(row.by_rule for row in ended),
        expired=len(expired),
        p50_s=_percentile(times, 0.5),
        p90_s=_percentile(times, 0.9),
        over_sla=sum(row.took > sla for row in (*decided, *expired))
        + sum(span.end - row.created_at > sla for row in waiting),
        broken=tuple(sorted(row.id for row in ended if row.broken_by)[:BROKEN_MAX]),
        broken_n=sum(bool(row.broken_by) for row in ended),
        pending=len(waiting),
        oldest=oldest.id if oldest else None,
        oldest_s=(span.end - oldest.created_at).total_seconds() if oldest else None,
    )


def told(found: TeamSummary, week: date, *, sla: timedelta, now: datetime) -> ApprovalSummarized:
    """It is dated now, for it is news then. The same once more is the same event."""
    event = ApprovalSummarized(
        occurred_at=now,
        team=found.team,
        week=week,
        sla_s=sla.total_seconds(),
        numbers=found.numbers,
        services=found.services,
    )
    return event.stamped(
        id=step_of_entity(
            service=APPROVALS_SVC.name, entity=f"week:{found.team}:{week}", revision=1, step="summarized"
        ),
        source=APPROVALS_SVC.name,
        origin="live",
        received_at=now,
    )


def as_json(found: Sequence[TeamSummary], span: Span, *, sla: timedelta) -> dict[str, Any]:
    """Of the API and the command line. Times in seconds."""
    return {
        "from": span.start.isoformat(),
        "to": span.end.isoformat(),
        "sla_s": sla.total_seconds(),
        "teams": [
            {
                "team": each.team,
                **msgspec.structs.asdict(each.numbers),
                "services": [{"service": of.service, **msgspec.structs.asdict(of.numbers)} for of in each.services],
            }
            for each in found
        ],
    }


def _percentile(ordered: Sequence[float], share: float) -> float | None:
    """Type 7 of Hyndman and Fan: linear between the closest ranks. `ordered` ascends; None without samples."""
    if not ordered:
        return None
    rank = (len(ordered) - 1) * share
    below = math.floor(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (rank - below) * (ordered[above] - ordered[below])
