"""The metrics of changes by name."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeAlias

from metrics_svc.flow import changes, progress, reviews, stages
from metrics_svc.flow.reviews import Reviews
from metrics_svc.flow.row import FlowRow
from metrics_svc.flow.samples import ChangeSamples
from metrics_svc.flow_metric import FlowMetric
from metrics_svc.question import Question
from metrics_svc.store import flow, reviewed
from metrics_svc.store.flow_samples import change_samples, shipped_samples
from metrics_svc.store.paging import Row, Wanted
from shared.catalog import Catalog
from shared.db import Connection

# Only what is deployed was so somewhere.
LACKS = ("environment",)
Rows: TypeAlias = Callable[[Sequence[ChangeSamples], Question, datetime], list[FlowRow]]
Lists: TypeAlias = Callable[[Connection, Question, Catalog, datetime, Wanted], Awaitable[Sequence[Row]]]


def flow_metrics(*, people: bool) -> Mapping[str, FlowMetric]:
    """By name. `people`: whether reviewers are named."""
    metrics = (*_PROGRESS, *_CHANGES, _review_load(people=people))
    return {metric.name: metric for metric in metrics}


def _metric(name: str, told: str, unit: str, rows: Rows, lists: Lists, *, lacks: Sequence[str] = LACKS) -> FlowMetric:
    async def read(tx: Connection, question: Question, _: Catalog, now: datetime) -> Sequence[ChangeSamples]:
        return await change_samples(tx, question, name, now)

    return FlowMetric(name=name, help=told, unit=unit, read=read, rows=rows, lists=lists, lacks=lacks)


def _listed(read: Callable[[Connection, Question, Wanted], Awaitable[Sequence[Row]]]) -> Lists:
    async def items(tx: Connection, question: Question, _: Catalog, __: datetime, wanted: Wanted) -> Sequence[Row]:
        return await read(tx, question, wanted)

    return items


def _listed_at(read: Callable[[Connection, Question, datetime, Wanted], Awaitable[Sequence[Row]]]) -> Lists:
    """At the end of the window: which of them made the earlier pieces, a smaller window tells."""

    async def items(tx: Connection, question: Question, _: Catalog, now: datetime, wanted: Wanted) -> Sequence[Row]:
        return await read(tx, question, now, wanted)

    return items


def _timeless(rows: Callable[[Sequence[ChangeSamples], Question], list[FlowRow]]) -> Rows:
    return lambda found, question, _: rows(found, question)


def _durations(metric: str) -> Rows:
    return _timeless(partial(changes.durations, metric))


def _review_load(*, people: bool) -> FlowMetric:
    def rows(found: Sequence[Reviews], question: Question, _: datetime) -> list[FlowRow]:
        return reviews.review_load(found, question, people=people)

    async def items(tx: Connection, question: Question, catalog: Catalog, _: datetime, wanted: Wanted) -> Sequence[Row]:
        hidden = () if people else ("reviewer",)
        found = await flow.reviews_done(tx, question, catalog, wanted)
        return [{name: value for name, value in each.items() if name not in hidden} for each in found]

    return FlowMetric(
        name=reviews.REVIEW_LOAD,
        help="Reviews done by humans; the busiest reviewer's share of them as a part",
        unit="count",
        read=reviewed.reviews,
        rows=rows,
        lists=items,
        lacks=LACKS,
    )


async def _wip(tx: Connection, question: Question, _: Catalog, now: datetime) -> Sequence[ChangeSamples]:
    found = await change_samples(tx, question, progress.WIP, now)
    return progress.held(found, question.within) if question.within else found


async def _shipped(tx: Connection, question: Question, _: Catalog, __: datetime) -> Sequence[ChangeSamples]:
    return await shipped_samples(tx, question)


_PROGRESS = (
    FlowMetric(
        name=progress.WIP,
        help="Changes ready and open at the end of each piece, bots' aside; the most at once as part max",
        unit="count",
        read=_wip,
        rows=progress.wip,
        lists=_listed_at(flow.in_progress),
        lacks=LACKS,
    ),
    _metric(
        progress.AGE,
        "Time since open changes were ready, at the end of each piece",
        "seconds",
        _durations(progress.AGE),
        _listed_at(flow.in_progress),
    ),
    _metric(
        progress.IDLE_TIME,
        "Time since a human's last touch: when a change ended, or until now while it is open",
        "seconds",
        _durations(progress.IDLE_TIME),
        _listed_at(flow.left_alone),
    ),
)
_CHANGES = (
    _metric(
        changes.PICKUP_TIME,
        "From ready to the first review or comment by another human, where that was",
        "seconds",
        _durations(changes.PICKUP_TIME),
        _listed(flow.reviewed_first),
    ),
    _metric(
        changes.REVIEW_TIME,
        "From the first review to the last approval, where that was",
        "seconds",
        _durations(changes.REVIEW_TIME),
        _listed(flow.approved),
    ),
    _metric(
        changes.THROUGHPUT,
        "Changes merged; each size (XS to XL) as a part",
        "count",
        _timeless(changes.throughput),
        _listed(flow.merged_sizes),
    ),
    FlowMetric(
        name=stages.CYCLE_TIME,
        help="From the first commit to production, where that was; the six stages as parts",
        unit="seconds",
        read=_shipped,
        rows=_timeless(stages.cycle_time),
        lists=_listed(flow.shipped),
    ),
    _metric(
        changes.REWORK_CYCLES,
        "Rounds of requested changes per merged change",
        "rounds",
        _timeless(changes.rework_cycles),
        _listed(flow.merged_rounds),
    ),
    _metric(
        changes.SIZE,
        "Lines changed per merged change",
        "lines",
        _timeless(changes.change_size),
        _listed(flow.merged_sizes),
    ),
)
