"""normalizer's HTTP API: the ledger of dispositions."""

from fastapi import FastAPI

from normalizer import store
from normalizer.settings import Settings
from shared.bus import Bus, Consumer
from shared.contracts.services import NORMALIZER
from shared.db import Pool
from shared.http.app import create_app
from shared.http.auth import Identity, require
from shared.http.probes import database_check


def build(settings: Settings, bus: Bus, pool: Pool, deliveries: Consumer) -> FastAPI:
    app = create_app(
        settings,
        NORMALIZER,
        checks={"nats": bus.problem, "database": database_check(pool), "consumer": deliveries.problem},
    )

    @app.get("/v1/dispositions")
    async def dispositions(_: Identity = require(settings, "viewer")) -> dict[str, object]:
        """What became of all deliveries in the archive: events, ignored or dead, each with its reasons."""
        async with pool.acquire() as connection:
            rows = await store.dispositions(connection)
        totals = dict.fromkeys(("events", "ignored", "dead"), 0)
        for disposition, _reason, count in rows:
            totals[disposition] += count
        reasons = [{"disposition": d, "reason": r, "deliveries": n} for d, r, n in rows if r]
        return {"deliveries": sum(totals.values()), **totals, "reasons": reasons}

    return app
