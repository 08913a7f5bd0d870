"""ingest as it is, but for group commit: what a server that does not fsync is compared with."""

from ingest import api
from ingest.keeping import Keeper
from ingest.settings import Settings
from shared.bus import open_bus
from shared.bus.publisher import Publisher
from shared.contracts.services import INGEST
from shared.http import process
from shared.http.keys import Keys
from shared.http.server import serve


async def run(settings: Settings) -> None:
    async with open_bus(settings, INGEST) as bus:
        bus.publisher = Publisher(bus.connection, bus.subjects, groups=False)
        app = api.build(settings, bus, Keeper(bus, None), Keys(settings), None)
        await serve(app, host=settings.host, port=settings.ingest_port, loops=[bus.watch])


if __name__ == "__main__":
    process.main(INGEST, Settings, run)
