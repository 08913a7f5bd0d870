"""The route of the report: how approvals of a time went, per team and service."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

import msgspec
from fastapi import FastAPI, Query, Response
from pydantic import AwareDatetime

from approvals_svc import store, summary, summary_store
from approvals_svc.desk import Desk
from approvals_svc.settings import Settings
from approvals_svc.summary import InvalidSpan
from approvals_svc.visibility import hidden_from
from shared.db import Pool
from shared.http.auth import Identity, require
from shared.http.problems import Problem

Moment = AwareDatetime | date


def add_routes(app: FastAPI, settings: Settings, *, pool: Pool, desk: Desk) -> None:
    sla = timedelta(seconds=settings.approvals_sla_s)

    @app.get("/v1/reports/approvals")
    async def report(
        start: Annotated[Moment | None, Query(alias="from")] = None,
        end: Annotated[Moment | None, Query(alias="to")] = None,
        identity: Identity = require(settings, "viewer"),
    ) -> Response:
        """Without `from` and `to`: the week (UTC) that ended last. A day is its first moment in UTC."""
        async with pool.acquire() as connection:
            now = (await store.clock(connection)).astimezone(UTC)
            try:
                span = summary.asked(_moment(start), _moment(end), now=now)
            except InvalidSpan as error:
                raise Problem(422, "invalid-span", str(error)) from None
            rows = await summary_store.rows(connection, span, hidden=hidden_from(identity, desk.catalog))
        found = summary.as_json(summary.by_team(rows, span, desk.catalog, sla=sla), span, sla=sla)
        return Response(msgspec.json.encode(found), media_type="application/json")


def _moment(written: Moment | None) -> datetime | None:
    if written is None:
        return None
    if isinstance(written, datetime):
        return written.astimezone(UTC)
    return datetime.combine(written, time(), UTC)
