"""Builds ingest: the only place that makes its connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ingest import api
from ingest.keeping import Keeper
from ingest.settings import Settings
from ingest.spool import Drain, Spool
from shared.bus import open_bus
from shared.contracts.services import INGEST
from shared.http.keys import Keys
from shared.http.server import serve


async def run(settings: Settings) -> None:
    async with open_spool(settings) as spool, open_bus(settings, INGEST) as bus:
        keeper = Keeper(bus, spool)
        loops = [bus.watch, *([Drain(spool, keeper.publish).run] if spool else [])]
        app = api.build(settings, bus, keeper, Keys(settings), spool)
        await serve(app, host=settings.host, port=settings.ingest_port, loops=loops)


@asynccontextmanager
async def open_spool(settings: Settings) -> AsyncIterator[Spool | None]:
    """None without SPOOL_DIR. Raises SpoolUnusable."""
    if settings.spool_dir is None:
        yield None
        return
    spool = Spool.open(settings.spool_dir, max_bytes=settings.spool_max_bytes)
    try:
        yield spool
    finally:
        spool.close()
