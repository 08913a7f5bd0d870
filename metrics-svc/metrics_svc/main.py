"""Builds metrics-svc: the only place that makes its connections."""

from metrics_svc import api, consumer
from metrics_svc.briefing import Briefing, Schedules
from metrics_svc.exporting import Exporter
from metrics_svc.rebuild import recomputing_both
from metrics_svc.recompute import recompute
from metrics_svc.schedule import read_schedule
from metrics_svc.settings import Settings
from metrics_svc.signalling import Signalling
from metrics_svc.telling import Weekly
from shared.bus import Relay, open_bus
from shared.contracts.services import METRICS_SVC
from shared.db.catalogs import Catalogs
from shared.db.pool import open_pool
from shared.http.probes import database_check
from shared.http.server import serve


async def run(settings: Settings) -> None:
    async with open_pool(settings, METRICS_SVC) as pool, open_bus(settings, METRICS_SVC) as bus:
        catalogs = Catalogs(pool, settings.catalog_path, recompute=recomputing_both(recompute))
        events, replayed = consumer.build(settings, catalogs, bus, pool)
        relay = Relay(bus=bus, pool=pool, service=METRICS_SVC.folder)
        checks = {
            "nats": bus.problem,
            "database": database_check(pool),
            "consumer": events.problem,
            "replay": replayed.problem,
        }
        app = api.build(settings, catalogs, pool, checks)
        exporter = Exporter(pool, catalogs)
        weekly = Weekly(pool, catalogs, bus.subjects)
        signalling = Signalling(pool, catalogs, bus.subjects)
        briefing = Briefing(pool, catalogs, bus.subjects, _schedules(settings))
        telling = [exporter.run, weekly.run, signalling.run, briefing.run]
        loops = [bus.watch, catalogs.watch, events.run, replayed.run, relay.run, *telling]
        await serve(app, host=settings.host, port=settings.metrics_svc_port, loops=loops)


def _schedules(settings: Settings) -> Schedules:
    return Schedules(
        standup=read_schedule(settings.standup_at),
        sprint=read_schedule(settings.sprint_at),
        zone=settings.digest_timezone,
    )
