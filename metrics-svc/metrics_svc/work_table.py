"""The metrics of builds, tickets, quality and production by name. Velocity is not among them: no event has points."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeAlias, TypeVar

from metrics_svc.flow import builds, gates, production, quality, tickets
from metrics_svc.flow.code_quality import CodeQuality, code_quality
from metrics_svc.flow.row import FlowRow
from metrics_svc.flow_metric import FlowMetric
from metrics_svc.question import Question
from metrics_svc.store import work, work_items
from metrics_svc.store.paging import Row, Wanted
from shared.catalog import Catalog
from shared.db import Connection

F = TypeVar("F")
Read: TypeAlias = Callable[[Connection, Question, Catalog], Awaitable[Sequence[F]]]
ReadNow: TypeAlias = Callable[[Connection, Question, Catalog, datetime], Awaitable[Sequence[F]]]
Rows: TypeAlias = Callable[[Sequence[F], Question], list[FlowRow]]
RowsNow: TypeAlias = Callable[[Sequence[F], Question, datetime], list[FlowRow]]
Lists: TypeAlias = Callable[[Connection, Question, Catalog, Wanted], Awaitable[Sequence[Row]]]
ListsNow: TypeAlias = Callable[[Connection, Question, Catalog, datetime, Wanted], Awaitable[Sequence[Row]]]


async def read_code_quality(tx: Connection, question: Question, catalog: Catalog) -> list[CodeQuality]:
    """The rows of `/v1/metrics/code-quality`."""
    return code_quality(await work.reports(tx, question, catalog), question)


def _read(read: Read[F]) -> ReadNow[F]:
    async def found(tx: Connection, question: Question, catalog: Catalog, _: datetime) -> Sequence[F]:
        return await read(tx, question, catalog)

    return found


def _rows(rows: Rows[F]) -> RowsNow[F]:
    return lambda found, question, _: rows(found, question)


def _listed(lists: Lists) -> ListsNow:
    async def items(tx: Connection, question: Question, catalog: Catalog, _: datetime, wanted: Wanted) -> Sequence[Row]:
        return await lists(tx, question, catalog, wanted)

    return items


async def _covered(tx: Connection, question: Question, catalog: Catalog) -> Sequence[quality.Report]:
    return quality.covered(await work.reports(tx, question, catalog), question)


async def _held(tx: Connection, question: Question, catalog: Catalog, now: datetime) -> Sequence[gates.Held]:
    return gates.held(await work.reports(tx, question, catalog), question, now)


_BUILDS = _listed(work_items.builds)
_TICKETS = _listed(work_items.tickets)
# Neither builds, tickets and reports nor what happens in production say which changes they are of.
_PRODUCTION_LACKS = ("label", "author_class")
_WORK_LACKS = ("environment", *_PRODUCTION_LACKS)

METRICS = (
    FlowMetric(
        name=builds.SUCCESS_RATE,
        help="Builds that succeeded ÷ those that succeeded or failed; the default branch as a part",
        unit="ratio",
        read=_read(work.builds),
        rows=_rows(builds.success_rate),
        lists=_BUILDS,
        lacks=_WORK_LACKS,
    ),
    FlowMetric(
        name=builds.DURATION,
        help="From the start of a build to its end; the default branch as a part",
        unit="seconds",
        read=_read(work.builds),
        rows=_rows(builds.duration),
        lists=_BUILDS,
        lacks=_WORK_LACKS,
    ),
    FlowMetric(
        name=tickets.LEAD_TIME,
        help="From the creation of a ticket to its end, of those closed in the window",
        unit="seconds",
        read=_read(work.tickets),
        rows=_rows(tickets.lead_time),
        lists=_TICKETS,
        lacks=_WORK_LACKS,
    ),
    FlowMetric(
        name=tickets.CYCLE_TIME,
        help="From the start of work on a ticket to its end, of those closed in the window",
        unit="seconds",
        read=_read(work.tickets),
        rows=_rows(tickets.cycle_time),
        lists=_TICKETS,
        lacks=_WORK_LACKS,
    ),
    FlowMetric(
        name=tickets.THROUGHPUT,
        help="Tickets closed",
        unit="count",
        read=_read(work.tickets),
        rows=_rows(tickets.throughput),
        lists=_TICKETS,
        lacks=_WORK_LACKS,
    ),
    *(
        FlowMetric(
            name=name,
            help=f"{statistic} per repository and branch",
            unit="percent",
            read=_read(_covered),
            rows=_rows(partial(quality.coverage, name)),
            lists=_listed(work_items.covered),
            lacks=_WORK_LACKS,
        )
        for name, statistic in (
            ("coverage", "The latest coverage"),
            ("coverage_min", "The least coverage"),
            ("coverage_max", "The most coverage"),
            ("coverage_delta", "What coverage gained from the first report to the last"),
        )
    ),
    FlowMetric(
        name=gates.RED_SHARE,
        help="Time that the quality gate was red ÷ time with a gate, per project and branch and of all together",
        unit="ratio",
        read=_held,
        rows=_rows(gates.red_share),
        lists=_listed(work_items.gated),
        lacks=_WORK_LACKS,
    ),
    FlowMetric(
        name=gates.LATEST,
        help="Branches at each status of the quality gate at the end",
        unit="count",
        read=_held,
        rows=gates.latest,
        lists=_listed(work_items.gated),
        lacks=_WORK_LACKS,
    ),
    FlowMetric(
        name=production.SUCCESS_RATE,
        help="Deployments to production that succeeded ÷ those that succeeded or failed",
        unit="ratio",
        read=_read(work.attempts),
        rows=_rows(production.success_rate),
        lists=_listed(work_items.attempts),
        lacks=_PRODUCTION_LACKS,
    ),
    FlowMetric(
        name=production.ROLLBACK_RATE,
        help="Rollbacks ÷ production deployments",
        unit="ratio",
        read=_read(work.attempts),
        rows=_rows(production.rollback_rate),
        lists=_listed(work_items.shipped),
        lacks=_PRODUCTION_LACKS,
    ),
    FlowMetric(
        name=production.INCIDENT_FREQUENCY,
        help="Incidents opened per week",
        unit="per_week",
        read=_read(work.incidents),
        rows=_rows(production.incident_frequency),
        lists=_listed(work_items.incidents),
        lacks=_PRODUCTION_LACKS,
    ),
)
WORK: Mapping[str, FlowMetric] = {metric.name: metric for metric in METRICS}
