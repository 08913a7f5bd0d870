"""Builds metrics-svc: the only place that makes its connections."""

from metrics_svc import api, consumer
from metrics_svc.settings import Settings
from shared import catalog
from shared.bus import Relay, open_bus
from shared.contracts.services import METRICS_SVC
from shared.db.pool import open_pool
from shared.http.probes import database_check
from shared.http.server import serve


async def run(settings: Settings) -> None:
    known = catalog.load(settings.catalog_path)
    async with open_pool(settings, METRICS_SVC) as pool, open_bus(settings, METRICS_SVC) as bus:
        events = consumer.build(settings, known, bus, pool)
        relay = Relay(bus=bus, pool=pool, service=METRICS_SVC.folder)
        checks = {"nats": bus.problem, "database": database_check(pool), "consumer": events.problem}
        app = api.build(settings, known, pool, checks)
        await serve(app, host=settings.host, port=settings.metrics_svc_port, loops=[bus.watch, events.run, relay.run])
