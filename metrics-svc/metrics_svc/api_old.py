"""The names of the earlier API, and what they stand for here."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from metrics_svc import dora
from metrics_svc.answers import AliasAnswer
from metrics_svc.api_dora import measure
from metrics_svc.asked import Asked, check
from metrics_svc.examples import shown
from metrics_svc.question import Question
from metrics_svc.sending import send
from metrics_svc.settings import Settings
from metrics_svc.store import reading
from metrics_svc.store.known import snapshot
from metrics_svc.window import last_days, read_days
from metrics_svc.work_table import read_code_quality
from shared.db import Pool
from shared.db.catalogs import CurrentCatalog
from shared.http.auth import Identity, require
from shared.http.problems import Problem

ALIASES = {
    "lead-time": (dora.LEAD_TIME, ""),
    "deployment-frequency": (dora.FREQUENCY, ""),
    "change-fail-rate": (dora.FAIL_RATE, ""),
    "mttr": (dora.RECOVERY_TIME, "mttr is the failed deployment recovery time: failures that a deployment caused"),
}


def router(settings: Settings, catalogs: CurrentCatalog, pool: Pool) -> APIRouter:
    routes = APIRouter(tags=["old names"])

    @routes.get("/v1/metrics/dora/{metric}", responses=shown("/v1/metrics/dora/{metric}"))
    async def dora_metric(
        request: Request,
        metric: str,
        service: Annotated[list[str] | None, Query(description="Repeat it for several; all without it")] = None,
        days: Annotated[str | None, Query(description="Length of the window that ends now; 30 without it")] = None,
        _: Identity = require(settings, "viewer"),
    ) -> Response:
        """One metric under its old name: lead-time, deployment-frequency, change-fail-rate or mttr."""
        check(request, once=("days",), repeated=("service",))
        if metric not in ALIASES:
            raise Problem(404, "unknown-metric", f"metric: one of {', '.join(ALIASES)}")
        name, note = ALIASES[metric]
        length = read_days(days)
        async with pool.acquire() as tx, snapshot(tx):
            names = await reading.meant(tx, catalogs.catalog, service)
            question = Question(services=names, window=last_days(length, await reading.now(tx)))
            measured = await measure(tx, question, catalogs.catalog, (name,))
        rows = [{"service": each, **msgspec.to_builtins(measured[each, 0][name])} for each in names]
        answer = AliasAnswer(
            metric=name,
            note=note,
            definition=dora.DEFINITION,
            days=length,
            start=question.window.start,
            end=question.window.end,
            services=rows,
        )
        return send(request, answer, rows)

    @routes.get("/v1/metrics/code-quality", responses=shown("/v1/metrics/code-quality"))
    async def code_quality(
        request: Request, asked: Asked = Depends(), _: Identity = require(settings, "viewer")
    ) -> Response:
        """Coverage and quality gate per project and branch: latest, least, most, and what the window changed."""
        async with pool.acquire() as tx, snapshot(tx):
            question = await asked.question(tx, catalogs.catalog, then=False, of_changes=False)
            rows = await read_code_quality(tx, question, catalogs.catalog)
        return send(request, {"from": question.window.start, "to": question.window.end, "rows": rows}, rows)

    return routes
