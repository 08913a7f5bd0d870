"""What a week that ended is worth telling: how each team's delivery went, and which series have another level. Pure."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from metrics_svc import bulletins, dora
from metrics_svc.dora import Metric, Samples
from metrics_svc.explain import explain, staged
from metrics_svc.flow.pieces import piece_of
from metrics_svc.question import Question
from metrics_svc.shifts import BASE, RECENT, Shift, Week, shift
from metrics_svc.window import Window
from shared.contracts.events import (
    Bulletin,
    Compared,
    Event,
    MetricShifted,
    MetricSummarized,
    ServiceWeek,
    StageChange,
)
from shared.contracts.ids import step_of_entity
from shared.contracts.services import METRICS_SVC

WEEK = timedelta(days=7)
WEEKS = RECENT + BASE
WATCHED = (dora.LEAD_TIME, dora.FREQUENCY, dora.FAIL_RATE, dora.RECOVERY_TIME)
# Monday's first hours are for what Sunday's platforms deliver late.
TOLD_AFTER = timedelta(hours=6)
WORTH_TELLING = timedelta(hours=24)


def due(now: datetime) -> datetime | None:
    """The Monday (UTC) that ended the week to tell of, None in Monday's first hours. `now` is in UTC."""
    monday = datetime.combine(now.date() - timedelta(days=now.weekday()), time(), now.tzinfo)
    return monday if now - monday >= TOLD_AFTER else None


def question(services: Sequence[str], monday: datetime) -> Question:
    """The weeks that ended at `monday`, as many as a change of level needs."""
    return Question(services=services, window=Window(monday - WEEKS * WEEK, monday), grain="week")


def last_two(asked: Question) -> Question:
    return Question(services=asked.services, window=Window(asked.window.end - 2 * WEEK, asked.window.end), grain="week")


def summary(
    team: str, asked: Question, found: Mapping[tuple[str, int], Samples], shipped: Sequence[Mapping[str, Any]]
) -> MetricSummarized | None:
    """Of the last week; None where neither it nor the one before has anything.

    `asked` is of what the team had when. `shipped` are its changes of the last two weeks.
    """
    ends = {number: asked.buckets[number] for number in (WEEKS - 2, WEEKS - 1)}
    whole = {number: dora.pool([found.get((name, number), Samples()) for name in asked.services]) for number in ends}
    if not any(_has_anything(samples) for samples in whole.values()):
        return None
    week = ends[WEEKS - 1].start.date()
    event = MetricSummarized(
        occurred_at=asked.window.end,
        team=team,
        week=week,
        numbers=_compared(whole, ends),
        services=tuple(
            ServiceWeek(service=name, numbers=_compared(own, ends))
            for name in asked.services
            for own in [{number: found.get((name, number), Samples()) for number in ends}]
            if any(_has_anything(samples) for samples in own.values())
        ),
        because=_because(shipped, last_two(asked).buckets),
    )
    return event.stamped(
        id=step_of_entity(service=METRICS_SVC.name, entity=f"week:{team}:{week}", revision=1, step="summarized"),
        source=METRICS_SVC.name,
        origin="live",
        received_at=None,
    )


def shifted(
    service: str,
    team: str,
    asked: Question,
    found: Mapping[tuple[str, int], Samples],
    told: Mapping[tuple[str, str], date],
) -> list[MetricShifted]:
    """Of what is watched; each series goes on from where its level changed last. `told` as in `store.told.shifts`."""
    numbers = [
        dora.measure(found.get((service, number), Samples()), piece) for number, piece in enumerate(asked.buckets)
    ]
    return [
        _shifted(service, team, metric, numbers[0][metric].unit, asked.window.end, change)
        for metric in WATCHED
        for since in [told.get((service, metric), date.min)]
        for series in [
            [
                Week(piece.start.date(), of[metric].value)
                for piece, of in zip(asked.buckets, numbers, strict=True)
                if piece.start.date() >= since
            ]
        ]
        if (change := shift(series)) is not None
    ]


def _shifted(service: str, team: str, metric: str, unit: str, at: datetime, change: Shift) -> MetricShifted:
    event = MetricShifted(
        occurred_at=at,
        service=service,
        team=team,
        metric=metric,
        unit=unit,
        since=change.since,
        before=change.before,
        after=change.after,
    )
    entity = f"level:{service}:{metric}:{change.since}"
    return event.stamped(
        id=step_of_entity(service=METRICS_SVC.name, entity=entity, revision=1, step="shifted"),
        source=METRICS_SVC.name,
        origin="live",
        received_at=None,
    )


def bulletins_of(events: Sequence[Event], now: datetime) -> list[Bulletin]:
    """What each team is shown of what was told of its week."""
    shifts = [event for event in events if isinstance(event, MetricShifted)]
    return [
        _bulletin(event, [each for each in shifts if each.team == event.team], now)
        for event in events
        if isinstance(event, MetricSummarized)
    ]


def _bulletin(event: MetricSummarized, shifted: Sequence[MetricShifted], now: datetime) -> Bulletin:
    bulletin = Bulletin(
        occurred_at=now,
        about="week",
        title=f"Delivery of {event.team or 'services without a team'}, week of {event.week}",
        sections=bulletins.of_week(event, shifted),
        team=event.team,
        until=now + WORTH_TELLING,
    )
    return bulletin.stamped(
        id=step_of_entity(service=METRICS_SVC.name, entity=f"week:{event.team}:{event.week}", revision=1, step="post"),
        source=METRICS_SVC.name,
        origin="live",
        received_at=now,
    )


def _has_anything(samples: Samples) -> bool:
    return bool(samples.finished_at or samples.recovery_times)


def _compared(found: Mapping[int, Samples], pieces: Mapping[int, Window]) -> tuple[Compared, ...]:
    before, after = (dora.measure(samples, pieces[number]) for number, samples in sorted(found.items()))
    return tuple(_pair(metric, before[metric], after[metric]) for metric in dora.METRICS)


def _pair(metric: str, before: Metric, after: Metric) -> Compared:
    return Compared(
        metric=metric, unit=after.unit, value=after.value, n=after.n, before=before.value, before_n=before.n
    )


def _because(shipped: Sequence[Mapping[str, Any]], weeks: Sequence[Window]) -> tuple[StageChange, ...]:
    before, after = (staged([row for row in shipped if piece_of(row["at"], weeks) == number]) for number in (0, 1))
    found = explain(before, after)
    if found is None:
        return ()
    return tuple(
        StageChange(stage=each.stage, before_s=each.before_s, after_s=each.after_s) for each in found.contributions
    )
