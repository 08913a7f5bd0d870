"""The loop that tells of each signal when it is raised, from whichever replica comes first."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from metrics_svc.flow.signals import Signal, signals
from metrics_svc.store import flow, raised_signals, reading
from shared.catalog import Catalog
from shared.contracts.envelope import event_message
from shared.contracts.events import MetricSignalled
from shared.contracts.ids import step_of_entity
from shared.contracts.services import METRICS_SVC
from shared.contracts.subjects import Subjects
from shared.db import Connection, Pool, outbox
from shared.db.catalogs import CurrentCatalog
from shared.db.polling import look_every
from shared.telemetry import logs

log = logs.get(__name__)

LOOK_EVERY_S = 30.0


class Signalling:
    def __init__(self, pool: Pool, catalogs: CurrentCatalog, subjects: Subjects) -> None:
        self._pool = pool
        self._catalogs = catalogs
        self._subjects = subjects

    async def run(self, stop: asyncio.Event) -> None:
        await look_every(LOOK_EVERY_S, self.tell, stop, name="signals")

    async def tell(self) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            events = await signalled(connection, self._catalogs.catalog)
            await outbox.add(connection, [event_message(event, self._subjects) for event in events])
        if events:
            log.info("signals.told", events=len(events))


async def signalled(tx: Connection, catalog: Catalog) -> list[MetricSignalled]:
    """What is raised now and was not before."""
    await raised_signals.lock(tx)
    now = await reading.now(tx)
    changes = await flow.open_changes(tx, await reading.services(tx, catalog), catalog)
    found = signals(changes, catalog.thresholds, now)
    new = await raised_signals.replace(tx, found)
    return told([each for each in found if (each.kind, each.subject) in new], catalog, now)


def told(found: Sequence[Signal], catalog: Catalog, now: datetime) -> list[MetricSignalled]:
    """A change of several services is told of once."""
    first = {(each.kind, each.subject): each for each in reversed(found)}
    return [
        MetricSignalled(
            occurred_at=each.crossed_at,
            signal=each.kind,
            service=each.service,
            team=catalog.team_of(each.service),
            subject=each.subject,
            since=each.since,
            detail=each.detail,
            threshold=each.threshold,
            author=each.author,
            url=each.url,
        ).stamped(
            id=step_of_entity(
                service=METRICS_SVC.name,
                entity=f"signal:{each.kind}:{each.subject}",
                revision=1,
                step=f"raised:{now.isoformat()}",
            ),
            source=METRICS_SVC.name,
            origin="live",
            received_at=now,
        )
        for each in first.values()
    ]
