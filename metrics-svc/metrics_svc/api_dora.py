"""The metrics of dora.dev: numbers, and the items that each was computed from."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from metrics_svc import answers, dora, health
from metrics_svc.answers import DoraAnswer, Measured
from metrics_svc.asked import PAGING, Asked, cursor
from metrics_svc.definitions import FOREIGN
from metrics_svc.examples import shown
from metrics_svc.question import Question
from metrics_svc.sending import send
from metrics_svc.settings import Settings
from metrics_svc.store import health as health_store
from metrics_svc.store import items, reading
from metrics_svc.store.excluded import excluded
from metrics_svc.store.history import history
from metrics_svc.store.known import snapshot
from metrics_svc.store.paging import Wanted, place_of
from metrics_svc.store.restatements import restatements
from metrics_svc.store.samples import samples
from metrics_svc.window import read_instant
from shared.catalog import Catalog
from shared.db import Connection, Pool
from shared.db.catalogs import CurrentCatalog
from shared.http.auth import Identity, require
from shared.http.problems import Problem

OF_CHANGES = frozenset({dora.LEAD_TIME, dora.COMMIT_LEAD_TIME})


def router(settings: Settings, catalogs: CurrentCatalog, pool: Pool) -> APIRouter:
    routes = APIRouter(tags=["dora"])
    viewer = require(settings, "viewer")

    @routes.get("/v1/dora", responses=shown("/v1/dora"))
    async def metrics(request: Request, asked: Asked = Depends(), _: Identity = viewer) -> Response:
        """The five metrics and what stands beside them: a flat row per service, metric and piece of the window."""
        return await _answer(request, asked, dora.ALL)

    @routes.get("/v1/dora/health", responses=shown("/v1/dora/health"))
    async def dora_health(request: Request, asked: Asked = Depends(), _: Identity = viewer) -> Response:
        """Per service which of the five numbers exist, what keeps the others away, and the line that would help."""
        async with pool.acquire() as tx, snapshot(tx):
            question = await asked.question(tx, catalogs.catalog, then=False, of_changes=False)
            content = await read_health(tx, question, catalogs.catalog)
        return send(request, content, content["services"])

    @routes.get("/v1/dora/restatements", responses=shown("/v1/dora/restatements"))
    async def feed(
        request: Request,
        asked: Asked = Depends(),
        since: Annotated[str | None, Query(description="Known since this instant; a day ago without it")] = None,
        _: Identity = viewer,
    ) -> Response:
        """What days were and became, as it was learnt: with `as_of`, what is known now follows from what was then."""
        async with pool.acquire() as tx, snapshot(tx):
            beside = ("since", *PAGING)
            question = await asked.question(tx, catalogs.catalog, beside=beside, then=False, of_changes=False)
            now = await reading.now(tx)
            start = read_instant("since", since) if since else now - timedelta(days=1)
            wanted = asked.page()
            rows = await restatements(tx, question.services, start, question.as_of or now, wanted)
        return send_rows(request, rows, wanted)

    @routes.get("/v1/dora/{metric}", responses=shown("/v1/dora/{metric}"))
    async def metric(request: Request, metric: str, asked: Asked = Depends(), _: Identity = viewer) -> Response:
        """One metric."""
        return await _answer(request, asked, (_known(metric),))

    @routes.get("/v1/dora/{metric}/items", responses=shown("/v1/dora/{metric}/items"))
    async def metric_items(request: Request, metric: str, asked: Asked = Depends(), _: Identity = viewer) -> Response:
        """What a number was computed from: computing the metric from all pages gives the number."""
        query, of_changes = items.ITEMS[_known(metric)], metric in OF_CHANGES
        async with pool.acquire() as tx, snapshot(tx):
            question = await asked.question(tx, catalogs.catalog, beside=PAGING, of_changes=of_changes)
            return await send_page(request, tx, query, question, asked)

    async def _answer(request: Request, asked: Asked, metrics: Sequence[str]) -> Response:
        async with pool.acquire() as tx, snapshot(tx):
            question = await asked.question(tx, catalogs.catalog, of_changes=OF_CHANGES.issuperset(metrics))
            measured = await measure(tx, question, catalogs.catalog, metrics, asked.team)
            left_out = await excluded(tx, question)
        teams = {name: asked.team or catalogs.catalog.team_of(name) for name in question.services}
        rows = answers.rows(question, measured, teams, metrics, asked.team)
        content = DoraAnswer(
            definition=question.definition,
            start=question.window.start,
            end=question.window.end,
            bucket=question.grain,
            tz=question.zone,
            agg=question.agg,
            as_of=question.as_of,
            rules={name: dora.RULES[name] for name in metrics} if question.definition == dora.DEFINITION else {},
            rows=rows,
            excluded=[answers.Excluded(service=name, **left_out.get(name, {})) for name in question.services],
            incidents_without_service=sum(left_out.get(None, {}).values()),
        )
        return send(request, content, rows)

    return routes


async def measure(
    tx: Connection, question: Question, catalog: Catalog, metrics: Sequence[str], team: str | None = None
) -> Mapping[tuple[str, int], Measured]:
    """By (service, piece). Another tool's definition knows no filters. Raises InvalidParameter."""
    if question.definition == dora.DEFINITION:
        return answers.measure(question, await samples(tx, question, metrics), team, metrics)
    filters = ("environment", "repository", "label", "author_class", "authors", "as_of", "min_confidence")
    question.refuse(filters, f"{question.definition} has no such filter")
    theirs = FOREIGN[question.definition]
    found: dict[tuple[str, int], Measured] = {}
    for number, piece in enumerate(question.buckets):
        histories = await history(tx, question.services, piece, catalog)
        found |= {(service, number): theirs(told, piece) for service, told in histories.items()}
    return found


async def read_health(tx: Connection, question: Question, catalog: Catalog) -> dict[str, Any]:
    measured = answers.measure(question, await samples(tx, question, dora.METRICS), None, dora.METRICS)
    seen = await health_store.observed(tx, question, {service.name for service in catalog.services})
    found = [
        health.of_service(name, catalog.team_of(name), measured[name, 0], seen[name]) for name in question.services
    ]
    return {
        "from": question.window.start,
        "to": question.window.end,
        "services": found,
        "unowned": health.unowned(await health_store.unowned(tx, question)),
    }


async def send_page(request: Request, tx: Connection, query: items.Query, question: Question, asked: Asked) -> Response:
    wanted = asked.page()
    return send_rows(request, await items.page(tx, query, question, wanted), wanted)


def send_rows(request: Request, rows: Sequence[Mapping[str, Any]], wanted: Wanted) -> Response:
    goes_on = len(rows) == wanted.limit
    return send(request, {"items": rows, "next": cursor(place_of(rows[-1])) if goes_on else None}, rows)


def _known(metric: str) -> str:
    if metric not in dora.ALL:
        raise Problem(404, "unknown-metric", f"metric: one of {', '.join(dora.ALL)}")
    return metric
