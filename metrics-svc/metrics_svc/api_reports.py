"""What needs attention now, and what a team looks at: in the morning, and over weeks."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from metrics_svc import reporting
from metrics_svc.asked import check, meant
from metrics_svc.examples import shown
from metrics_svc.flow.signals import STALE, WITHOUT_TICKET, Signal
from metrics_svc.question import Question, by_team
from metrics_svc.sending import send
from metrics_svc.settings import Settings
from metrics_svc.standup import HAPPENED, WAITING
from metrics_svc.store import reading
from metrics_svc.store.known import snapshot
from metrics_svc.window import Window, last_days, read_count
from shared.catalog import Catalog
from shared.db import Connection, Pool
from shared.db.catalogs import CurrentCatalog
from shared.http.auth import Identity, require

HOURS, HOURS_MAX = 24, 168
WEEKS, WEEKS_MAX = 2, 26


class Whose:
    """A dependency: the services and the team of a report."""

    def __init__(
        self,
        service: Annotated[list[str] | None, Query(description="Repeat it for several; all without it")] = None,
        team: Annotated[str | None, Query(description="All services of a team; all teams without it")] = None,
    ) -> None:
        self.service = service
        self.team = team

    async def services(self, request: Request, tx: Connection, catalog: Catalog) -> list[str]:
        """Those of today. Raises InvalidParameter, Problem (404)."""
        check(request, once=("team",), repeated=("service",))
        return await meant(tx, catalog, self.service, self.team)

    async def by_team(
        self, request: Request, tx: Connection, catalog: Catalog, window: Window, beside: str
    ) -> Mapping[str, Question]:
        """What each team had when. `beside` is a parameter of this endpoint alone.

        Raises InvalidParameter, Problem (404).
        """
        check(request, once=("team", beside), repeated=("service",))
        services = await meant(tx, catalog, self.service, self.team, then=True)
        found = by_team(Question(services=services, window=window), catalog)
        return {team: own for team, own in found.items() if self.team in (None, team)}


def router(settings: Settings, catalogs: CurrentCatalog, pool: Pool) -> APIRouter:
    routes = APIRouter(tags=["reports"])
    viewer = require(settings, "viewer")

    @routes.get("/v1/signals/evaluate", responses=shown("/v1/signals/evaluate"))
    async def evaluate(request: Request, whose: Whose = Depends(), _: Identity = viewer) -> Response:
        """What needs attention now among changes in progress: since when, beyond which threshold, and whose it is."""
        async with pool.acquire() as tx, snapshot(tx):
            catalog = catalogs.catalog
            services = await whose.services(request, tx, catalog)
            now = await reading.now(tx)
            found = await reporting.raised(tx, services, catalog, now)
        rows = [_told(signal, catalog.team_of(signal.service), now) for signal in found]
        return send(request, {"at": now, "thresholds": catalog.thresholds, "items": rows, "next": None}, rows)

    @routes.get("/v1/reports/standup", responses=shown("/v1/reports/standup"))
    async def standup_report(
        request: Request,
        whose: Whose = Depends(),
        hours: Annotated[str | None, Query(description="How far back; 24 without it, 168 at most")] = None,
        _: Identity = viewer,
    ) -> Response:
        """Per team: what was merged, deployed, failed and broke; what waits for review, was sent back or is stale."""
        length = read_count("hours", hours, default=HOURS, most=HOURS_MAX)
        async with pool.acquire() as tx, snapshot(tx):
            catalog = catalogs.catalog
            now = await reading.now(tx)
            window = Window(now - timedelta(hours=length), now)
            asked = await whose.by_team(request, tx, catalog, window, "hours")
            teams = await reporting.standups(tx, asked, catalog, now)
        lines = [line for team in teams for section in (*HAPPENED, *WAITING) for line in getattr(team, section)]
        content = {"from": window.start, "to": now, "thresholds": catalog.thresholds, "teams": teams}
        return send(request, content, lines)

    @routes.get("/v1/reports/sprint-health", responses=shown("/v1/reports/sprint-health"))
    async def sprint_report(
        request: Request,
        whose: Whose = Depends(),
        weeks: Annotated[str | None, Query(description="How many until now; 2 without it, 26 at most")] = None,
        _: Identity = viewer,
    ) -> Response:
        """Per team: throughput, lead time, fail rate, recovery and work in progress against its limit; and by week."""
        length = read_count("weeks", weeks, default=WEEKS, most=WEEKS_MAX)
        async with pool.acquire() as tx, snapshot(tx):
            catalog = catalogs.catalog
            now = await reading.now(tx)
            window = last_days(7 * length, now)
            asked = await whose.by_team(request, tx, catalog, window, "weeks")
            teams = await reporting.health(tx, asked, catalog, now)
            by_week = {team: msgspec.structs.replace(own, grain="week") for team, own in asked.items()}
            rows = await reporting.health(tx, by_week, catalog, now)
        content = {"from": window.start, "to": now, "weeks": length, "teams": teams, "rows": rows}
        return send(request, content, rows)

    return routes


def _told(signal: Signal, team: str, now: datetime) -> Mapping[str, Any]:
    """`look_at` can end it: the author, or the team where somebody else is wanted."""
    is_the_authors = signal.kind in (STALE, WITHOUT_TICKET)
    return {
        **msgspec.structs.asdict(signal),
        "team": team,
        "hours": (now - signal.since).total_seconds() / 3600,
        "look_at": (is_the_authors and signal.author) or team,
    }
