"""The audit over HTTP: its rows in the order of time, and the anchors."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from asyncpg import Record
from fastapi import FastAPI, Query
from pydantic import AwareDatetime

from approvals_svc import audit_store
from approvals_svc.audit import exported
from approvals_svc.settings import Settings
from approvals_svc.store import ID_MAX
from shared.contracts.envelope import rfc3339
from shared.db import Pool
from shared.http.auth import Identity, require
from shared.http.problems import Problem

PAGE_MAX = 1000
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

Json = dict[str, Any]
Place = tuple[datetime, int, int]


def add_routes(app: FastAPI, settings: Settings, *, pool: Pool) -> None:
    @app.get("/v1/audit")
    async def audit(
        since: AwareDatetime = BEGINNING,
        approval: Annotated[int | None, Query(ge=1, le=ID_MAX)] = None,
        after: Annotated[str, Query(max_length=100)] = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
        _: Identity = require(settings, "operator"),
    ) -> Json:
        """Oldest first; `next` is the `after` of the following page, also while there is no more yet."""
        place = _place(after) if after else (since, 0, 0)
        async with pool.acquire() as connection:
            if approval is None:
                rows = await audit_store.page(connection, after=place, limit=limit)
            else:
                rows = await audit_store.page_of(connection, approval, after=place, limit=limit)
        return {"items": [exported(row) for row in rows], "next": _next(rows, after)}

    @app.get("/v1/audit/anchors")
    async def anchors(
        before: Annotated[int | None, Query(ge=1, le=ID_MAX)] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
        _: Identity = require(settings, "viewer"),
    ) -> Json:
        """Newest first; `next` is the `before` of the following page."""
        async with pool.acquire() as connection:
            found = await audit_store.anchors(connection, before=before, limit=limit + 1)
        page = found[:limit]
        items = [{**msgspec.structs.asdict(anchor), "at": rfc3339(anchor.at)} for anchor in page]
        return {"items": items, "next": page[-1].number if len(found) > limit else None}


def _next(rows: Sequence[Record], after: str) -> str | None:
    if not rows:
        return after or None
    last = rows[-1]
    return f"{rfc3339(last['at'])}_{last['approval_id']}_{last['seq']}"


def _place(cursor: str) -> Place:
    try:
        at, approval_id, seq = cursor.split("_")
        place = datetime.fromisoformat(at).astimezone(UTC), int(approval_id), int(seq)
    except (ValueError, OverflowError):
        raise Problem(422, "invalid-cursor", "`after` is no `next` of ours") from None
    if not (0 <= place[1] <= ID_MAX and 0 <= place[2] < 2**31):
        raise Problem(422, "invalid-cursor", "`after` is no `next` of ours")
    return place
