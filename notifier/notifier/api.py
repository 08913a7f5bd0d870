"""notifier's HTTP API: every message with its state, and what was held back and why."""

from typing import Annotated, Any

from fastapi import FastAPI, Query

from notifier import store
from notifier.living import HeldReason
from notifier.sender import Sender
from notifier.settings import Settings
from notifier.store import MessageState
from shared.bus import Bus, Consumer
from shared.contracts.services import NOTIFIER
from shared.db import Pool
from shared.db.catalogs import Catalogs
from shared.http.app import create_app
from shared.http.auth import Identity, require
from shared.http.probes import database_check

PAGE_MAX = 200

Json = dict[str, Any]


def build(
    settings: Settings,
    *,
    bus: Bus,
    pool: Pool,
    events: Consumer,
    asked: Consumer,
    sender: Sender,
    catalogs: Catalogs,
) -> FastAPI:
    app = create_app(
        settings,
        NOTIFIER,
        checks={
            "nats": bus.problem,
            "database": database_check(pool),
            "events": events.problem,
            "notify": asked.problem,
            "slack": sender.problem,
        },
        details=lambda: {"integrations": {"slack": sender.status}, "catalog": catalogs.status},
    )

    @app.get("/v1/notifications")
    async def notifications(
        state: MessageState | None = None,
        after: str = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
        _: Identity = require(settings, "viewer"),
    ) -> Json:
        """One row per living message, in key order; `next` is the `after` of the following page."""
        async with pool.acquire() as connection:
            counts = await store.message_counts(connection)
            items = await store.messages(connection, state=state, after=after, limit=limit + 1)
        return {"counts": counts, **_page(items, limit, "key")}

    @app.get("/v1/notifications/held")
    async def held(
        reason: HeldReason | None = None,
        before: str = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
        _: Identity = require(settings, "viewer"),
    ) -> Json:
        """What didn't act and why: `origin` (replayed facts don't), `stale`, `no_channel`; newest facts first."""
        async with pool.acquire() as connection:
            counts = await store.held_counts(connection)
            items = await store.held(connection, reason=reason, before=before, limit=limit + 1)
        return {"counts": counts, **_page(items, limit, "event_id")}

    return app


def _page(items: list[Json], limit: int, key: str) -> Json:
    page = items[:limit]
    return {"items": page, "next": page[-1][key] if len(items) > limit else None}
