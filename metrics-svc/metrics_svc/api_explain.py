"""Why the median change lead time is not what it was."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from metrics_svc import dora
from metrics_svc.asked import Asked
from metrics_svc.examples import shown
from metrics_svc.explain import Staged, explain, staged
from metrics_svc.sending import send
from metrics_svc.settings import Settings
from metrics_svc.store import flow
from metrics_svc.store.known import snapshot
from metrics_svc.store.teams import of_parts
from metrics_svc.window import InvalidParameter, Window, as_long_before, read_instant
from shared.db import Pool
from shared.db.catalogs import CurrentCatalog
from shared.http.auth import Identity, require

BESIDE = ("before_from", "before_to")
# One median of each window, from what is known now, by our own definition.
UNHEARD = ("as_of", "min_confidence", "grain", "agg", "definition")


class ExplainRow(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of the median that `stage` makes up in both windows. The row `change_lead_time` is the median itself,
    null in a window without changes; the rows of the stages sum to it, and are there where both medians are.
    """

    service: str
    team: str
    stage: str
    before_s: float | None
    after_s: float | None
    change_s: float | None
    before_n: int
    after_n: int


class ExplainAnswer(msgspec.Struct, frozen=True, kw_only=True, rename={"start": "from", "end": "to"}):
    metric: str
    start: datetime
    end: datetime
    before_from: datetime
    before_to: datetime
    rows: Sequence[ExplainRow]


def router(settings: Settings, catalogs: CurrentCatalog, pool: Pool) -> APIRouter:
    routes = APIRouter(tags=["dora"])
    viewer = require(settings, "viewer")

    @routes.get("/v1/dora/explain", responses=shown("/v1/dora/explain"))
    async def explained(
        request: Request,
        asked: Asked = Depends(),
        before_from: Annotated[str | None, Query(description="Start of what to compare with")] = None,
        before_to: Annotated[str | None, Query(description="Its end; `from` without it")] = None,
        _: Identity = viewer,
    ) -> Response:
        """Why the median change lead time moved between two windows: what each stage contributed, per service."""
        async with pool.acquire() as tx, snapshot(tx):
            catalog = catalogs.catalog
            ever = await asked.ever(tx, catalog, beside=BESIDE)
            ever.refuse(UNHEARD, "what is explained is the median of two windows, as known now")
            before = _before(before_from, before_to, ever.window)
            question = asked.of_team(ever, catalog)
            earlier = asked.of_team(msgspec.structs.replace(ever, window=before), catalog)
            was, now = [await of_parts(each, partial(flow.shipped, tx)) for each in (earlier, question)]
        rows = [
            row
            for name in sorted({*earlier.services, *question.services})
            for then, since in [[[c for c in found if c["service"] == name] for found in (was, now)]]
            for row in _rows(name, asked.team or catalog.team_of(name), staged(then), staged(since))
        ]
        answer = ExplainAnswer(
            metric=dora.LEAD_TIME,
            start=question.window.start,
            end=question.window.end,
            before_from=before.start,
            before_to=before.end,
            rows=rows,
        )
        return send(request, answer, rows)

    return routes


def _before(start: str | None, end: str | None, after: Window) -> Window:
    """Raises InvalidParameter."""
    until = read_instant("before_to", end) if end is not None else after.start
    since = read_instant("before_from", start) if start is not None else as_long_before(until, after)
    if since >= until:
        raise InvalidParameter("before_from", "must be before before_to")
    return Window(since, until)


def _rows(service: str, team: str, before: Sequence[Staged], after: Sequence[Staged]) -> Iterator[ExplainRow]:
    found = explain(before, after)
    spans = {dora.LEAD_TIME: (_median(before), _median(after))}
    spans |= {each.stage: (each.before_s, each.after_s) for each in (found.contributions if found else ())}
    for stage, (was, now) in spans.items():
        yield ExplainRow(
            service=service,
            team=team,
            stage=stage,
            before_s=was,
            after_s=now,
            change_s=None if was is None or now is None else now - was,
            before_n=len(before),
            after_n=len(after),
        )


def _median(changes: Sequence[Staged]) -> float | None:
    return dora.percentile(sorted(change.lead_time_s for change in changes), 0.5)
