"""Builds ingest: the only place that makes its connections."""

from ingest import api
from ingest.settings import Settings
from shared.bus import open_bus
from shared.contracts.services import INGEST
from shared.http.server import serve


async def run(settings: Settings) -> None:
    async with open_bus(settings, INGEST) as bus:
        await serve(api.build(settings, bus), host=settings.host, port=settings.ingest_port, loops=[bus.watch])
