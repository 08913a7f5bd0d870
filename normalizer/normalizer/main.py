"""Builds normalizer: the only place that makes its connections."""

from normalizer import api, consumer
from normalizer.rebuilds import Rebuilds
from normalizer.reconciler import Reconciler
from normalizer.settings import Settings
from shared.bus import open_bus
from shared.contracts.services import NORMALIZER
from shared.db.pool import open_pool
from shared.http.server import serve


async def run(settings: Settings) -> None:
    async with open_pool(settings, NORMALIZER) as pool, open_bus(settings, NORMALIZER) as bus:
        deliveries = consumer.build(bus, pool)
        app = api.build(settings, bus, pool, deliveries)
        loops = [
            bus.watch,
            deliveries.run,
            Reconciler(bus=bus, pool=pool).run,
            Rebuilds(bus=bus, pool=pool).run,
        ]
        await serve(app, host=settings.host, port=settings.normalizer_port, loops=loops)
