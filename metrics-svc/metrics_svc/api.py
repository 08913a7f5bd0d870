"""metrics-svc's HTTP API: the five metrics with what made them, the same under their old names, the demo's page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from fastapi import FastAPI, Query, Request
from fastapi.responses import Response

from metrics_svc import dora
from metrics_svc.answers import DoraAnswer, MetricAnswer, service_answer
from metrics_svc.settings import Settings
from metrics_svc.store import reading
from metrics_svc.window import InvalidParameter, between, last_days, read_days
from shared.catalog import Catalog
from shared.contracts.services import METRICS_SVC
from shared.db import Connection, Pool
from shared.db.catalogs import CurrentCatalog
from shared.http import problems
from shared.http.app import create_app
from shared.http.auth import Identity, require
from shared.http.probes import Check
from shared.http.problems import Problem

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "X-Content-Type-Options": "nosniff",
}
# The names of the earlier API, and what they stand for here.
ALIASES = {
    "lead-time": (dora.LEAD_TIME, ""),
    "deployment-frequency": (dora.FREQUENCY, ""),
    "change-fail-rate": (dora.FAIL_RATE, ""),
    "mttr": (dora.RECOVERY_TIME, "mttr is the failed deployment recovery time: failures that a deployment caused"),
}

ServiceNames = Annotated[list[str] | None, Query(description="Repeat it for several; all without it")]


def build(settings: Settings, catalogs: CurrentCatalog, pool: Pool, checks: Mapping[str, Check]) -> FastAPI:
    app = create_app(settings, METRICS_SVC, checks=checks, details=lambda: {"catalog": catalogs.status})

    @app.exception_handler(InvalidParameter)
    async def _invalid(_: Request, error: InvalidParameter) -> Response:
        content = problems.body(400, "invalid-parameter", str(error), parameter=error.name)
        return Response(content, 400, media_type=problems.MEDIA_TYPE)

    _add_dora(app, settings, catalogs, pool)
    _add_aliases(app, settings, catalogs, pool)
    if settings.demo and settings.demo_page_path:
        _add_demo_page(app, settings.demo_page_path)
    return app


def _add_dora(app: FastAPI, settings: Settings, catalogs: CurrentCatalog, pool: Pool) -> None:
    @app.get("/v1/dora")
    async def dora_metrics(
        request: Request,
        service: ServiceNames = None,
        environment: Annotated[str | None, Query(description="One production environment; all without it")] = None,
        start: Annotated[str | None, Query(alias="from", description="ISO date or instant, included")] = None,
        end: Annotated[str | None, Query(alias="to", description="ISO date or instant, excluded")] = None,
        _: Identity = require(settings, "viewer"),
    ) -> Response:
        """The five metrics of each service, the deployments that made them, and what was left out and why."""
        _check_parameters(request, once=("environment", "from", "to"), repeated=("service",))
        async with pool.acquire() as connection:
            window = between(start, end, await reading.now(connection))
            names = await _services(connection, catalogs.catalog, service)
            delivery = await reading.delivery(connection, names, window, environment=environment)
        answer = DoraAnswer(
            definition=dora.DEFINITION,
            start=window.start,
            end=window.end,
            environment=environment,
            incidents_without_service=delivery.incidents_without_service,
            services=[service_answer(name, catalogs.catalog.team_of(name), delivery, window) for name in names],
        )
        return Response(msgspec.json.encode(answer), media_type="application/json")


def _add_aliases(app: FastAPI, settings: Settings, catalogs: CurrentCatalog, pool: Pool) -> None:
    @app.get("/v1/metrics/dora/{metric}")
    async def dora_metric(
        request: Request,
        metric: str,
        service: ServiceNames = None,
        days: Annotated[str | None, Query(description="Length of the window that ends now; 30 without it")] = None,
        _: Identity = require(settings, "viewer"),
    ) -> Response:
        """One metric under its old name: lead-time, deployment-frequency, change-fail-rate or mttr."""
        _check_parameters(request, once=("days",), repeated=("service",))
        if metric not in ALIASES:
            raise Problem(404, "unknown-metric", f"metric: one of {', '.join(ALIASES)}")
        name, note = ALIASES[metric]
        length = read_days(days)
        async with pool.acquire() as connection:
            window = last_days(length, await reading.now(connection))
            names = await _services(connection, catalogs.catalog, service)
            delivery = await reading.delivery(connection, names, window)
        measured = {n: dora.measure(delivery.of(n), window)[name] for n in names}
        answer = MetricAnswer(
            metric=name,
            note=note,
            definition=dora.DEFINITION,
            days=length,
            start=window.start,
            end=window.end,
            services=[{"service": n, **msgspec.to_builtins(found)} for n, found in measured.items()],
        )
        return Response(msgspec.json.encode(answer), media_type="application/json")


def _add_demo_page(app: FastAPI, path: Path) -> None:
    @app.get("/demo", include_in_schema=False)
    def demo_page() -> Response:
        """This one file, and only while the demo's stack runs."""
        try:
            page = path.read_bytes()
        except FileNotFoundError:
            raise Problem(404, "not-found", "the demo has not written its page yet") from None
        return Response(page, media_type="text/html", headers=PAGE_HEADERS)


def _check_parameters(request: Request, *, once: Sequence[str], repeated: Sequence[str]) -> None:
    """A misspelt filter must not answer for everything. Raises InvalidParameter."""
    given = [name for name, _ in request.query_params.multi_items()]
    for name, value in request.query_params.multi_items():
        if name not in (*once, *repeated):
            raise InvalidParameter(name, f"unknown; there are {', '.join((*repeated, *once))}")
        if name in once and given.count(name) > 1:
            raise InvalidParameter(name, "given more than once")
        if "\x00" in value:
            raise InvalidParameter(name, "holds a NUL")


async def _services(connection: Connection, catalog: Catalog, wanted: Sequence[str] | None) -> list[str]:
    known = await reading.services(connection, catalog)
    if not wanted:
        return known
    for name in wanted:
        if name not in known:
            raise Problem(404, "unknown-service", f"service: nothing is known of {name}")
    return sorted(set(wanted))
