"""Flow metrics: how work moves before and beside deployments."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from metrics_svc.api_dora import send_rows
from metrics_svc.asked import PAGING, Asked
from metrics_svc.examples import shown
from metrics_svc.flow.row import FlowRow
from metrics_svc.flow_metric import FlowMetric
from metrics_svc.flow_table import flow_metrics
from metrics_svc.question import AGGS, Question
from metrics_svc.sending import send
from metrics_svc.settings import Settings
from metrics_svc.store import reading
from metrics_svc.store.known import snapshot
from metrics_svc.work_table import WORK
from shared.db import Pool
from shared.db.catalogs import CurrentCatalog
from shared.http.auth import Identity, require
from shared.http.problems import Problem

# Facts are kept as they are now: only what is derived knows its past.
UNHEARD = ("as_of", "min_confidence", "definition")


class FlowAnswer(msgspec.Struct, frozen=True, kw_only=True, rename={"start": "from", "end": "to"}):
    metric: str
    help: str
    unit: str
    start: datetime
    end: datetime
    bucket: str | None
    tz: str
    rows: Any


def router(settings: Settings, catalogs: CurrentCatalog, pool: Pool) -> APIRouter:
    routes = APIRouter(tags=["flow"])
    viewer = require(settings, "viewer")
    served = {**WORK, **flow_metrics(people=settings.people_metrics)}

    @routes.get("/v1/flow", responses=shown("/v1/flow"))
    async def metrics(request: Request, _: Identity = viewer) -> Response:
        """The names that there are."""
        rows = [{"metric": each.name, "help": each.help, "unit": each.unit} for each in served.values()]
        return send(request, {"items": rows, "next": None}, rows)

    @routes.get("/v1/flow/{metric}", responses=shown("/v1/flow/{metric}"))
    async def metric(request: Request, metric: str, asked: Asked = Depends(), _: Identity = viewer) -> Response:
        """One metric: a flat row per service (and for the team that was asked about), part and piece of the window."""
        found = _known(served, metric)
        async with pool.acquire() as tx, snapshot(tx):
            question = await asked.question(tx, catalogs.catalog, of_changes=found.of_changes)
            _refuse(question, found)
            now = await reading.now(tx)
            rows = await found.measure(tx, question, catalogs.catalog, now, asked.team or "")
        answer = FlowAnswer(
            metric=found.name,
            help=found.help,
            unit=found.unit,
            start=question.window.start,
            end=question.window.end,
            bucket=question.grain,
            tz=question.zone,
            rows=_by_agg(rows, question.agg),
        )
        return send(request, answer, answer.rows)

    @routes.get("/v1/flow/{metric}/items", responses=shown("/v1/flow/{metric}/items"))
    async def metric_items(request: Request, metric: str, asked: Asked = Depends(), _: Identity = viewer) -> Response:
        """What the numbers were computed from, in pages."""
        found = _known(served, metric)
        async with pool.acquire() as tx, snapshot(tx):
            question = await asked.question(tx, catalogs.catalog, beside=PAGING, of_changes=found.of_changes)
            _refuse(question, found)
            wanted = asked.page()
            rows = await found.items(tx, question, catalogs.catalog, await reading.now(tx), wanted)
        return send_rows(request, rows, wanted)

    return routes


def _known(served: Mapping[str, FlowMetric], metric: str) -> FlowMetric:
    if metric not in served:
        raise Problem(404, "unknown-metric", f"metric: one of {', '.join(served)}")
    return served[metric]


def _refuse(question: Question, metric: FlowMetric) -> None:
    """Raises InvalidParameter."""
    question.refuse(UNHEARD, "flow metrics are our own, of what is known now")
    question.refuse(metric.lacks, f"{metric.name} has no such filter")


def _by_agg(rows: Sequence[FlowRow], agg: str) -> Sequence[FlowRow]:
    """Another statistic than a metric's own, where it has several; the interval is that of its own."""
    if agg == AGGS[0]:
        return rows
    return [
        msgspec.structs.replace(row, value=getattr(row, agg), low=None, high=None) if row.p50 is not None else row
        for row in rows
    ]
