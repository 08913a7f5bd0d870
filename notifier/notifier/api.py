"""notifier's HTTP API: every message with its state, and what was held back and why."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import FastAPI, Query

from notifier import pace_store, reason_store, store
from notifier.living import HeldReason
from notifier.route_versions import RouteVersions
from notifier.sender import Sender
from notifier.settings import Settings
from notifier.store import Asked, MessageState
from notifier.templates import Templates
from shared.bus import Bus, Consumer
from shared.contracts.services import NOTIFIER
from shared.db import Pool
from shared.db.catalogs import Catalogs
from shared.http.app import create_app
from shared.http.auth import Identity, require
from shared.http.probes import database_check
from shared.http.problems import Problem

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
    templates: Templates,
    routes: RouteVersions,
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
        details=lambda: {
            "integrations": {"slack": sender.status, "model": _model_status(settings)},
            "catalog": catalogs.status,
            "routes": routes.status,
            "templates": {"own": templates.own, "problems": templates.problems},
        },
    )

    @app.get("/v1/notifications")
    async def notifications(
        state: MessageState | None = None,
        channel: str = "",
        thing: str = "",
        since: datetime | None = None,
        after: str = "",
        limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
        _: Identity = require(settings, "viewer"),
    ) -> Json:
        """The delivery log: one row per message with its latest calls of Slack, in key order; `next` is the `after` of
        the following page. `channel`: as routes name it, or its id; `thing`: e.g. `approval:7`; `since` in UTC where it
        has no zone.
        """
        moment = since.replace(tzinfo=UTC) if since and since.tzinfo is None else since
        asked = Asked(state=state, channel=channel, thing=thing, since=moment)
        async with pool.acquire() as connection:
            counts = await store.message_counts(connection)
            items = await store.messages(connection, asked, after=after, limit=limit + 1)
        return {"counts": counts, **_page(items, limit, "key")}

    @app.get("/v1/notifications/channels")
    async def channels(_: Identity = require(settings, "viewer")) -> Json:
        """The day's quota, and each channel (or Slack's method, for all of them) with what waits, how fast it goes and
        since when and why it takes nothing, if so.
        """
        async with pool.acquire() as connection:
            quota = await pace_store.quota(connection, sender.terms)
            return {"quota": quota, "items": await store.channels(connection)}

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

    @app.get("/v1/notifications/explain")
    async def explained(
        event: Annotated[str, Query(min_length=1, max_length=600)],
        _: Identity = require(settings, "viewer"),
    ) -> Json:
        """Why people were, or were not, told of an event (its id) or of all events of a thing (`approval:7`): each
        reason with the routes that were asked, what waits to be told with others, and the messages with their states.
        """
        async with pool.acquire() as connection:
            found = await reason_store.story(connection, event)
        if not found["reasons"]:
            raise Problem(404, "unknown-event", "nothing is known of such an event or thing; reasons are kept 30 days")
        return found

    return app


def _page(items: list[Json], limit: int, key: str) -> Json:
    page = items[:limit]
    return {"items": page, "next": page[-1][key] if len(items) > limit else None}


def _model_status(settings: Settings) -> str:
    if not settings.agent_llm_enabled:
        return "off"
    return "ok" if settings.openai_api_key.get_secret_value() else "off: OPENAI_API_KEY is not set"
