"""Law 2 watched while it runs: every place in RAW that was acknowledged has its row in the archive."""

import asyncio

from normalizer import store
from shared.bus import Bus, browse
from shared.bus.faults import NOBODYS
from shared.contracts.streams import NORMALIZER_RAW
from shared.db import Pool
from shared.db.polling import pause
from shared.telemetry import logs, metrics

log = logs.get(__name__)

LOOK_EVERY_S = 15.0
WINDOW = 20_000  # places behind the acknowledged one; older ones were looked at when they were new


class Reconciler:
    """Counts and names gaps, and repeats in metrics what `em watch` found, which compares more and closes them."""

    def __init__(self, *, bus: Bus, pool: Pool) -> None:
        self._bus = bus
        self._pool = pool

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self.look()
            except NOBODYS as error:
                log.warning("reconciler.stalled", error=repr(error))
            await pause(stop, LOOK_EVERY_S)

    async def look(self) -> list[int]:
        """The unaccounted places, lowest first."""
        acknowledged = await browse.acknowledged(self._bus, NORMALIZER_RAW)
        first = max(acknowledged.first, acknowledged.last - WINDOW)
        async with self._pool.acquire() as connection:
            missing = await store.missing_sequences(
                connection, first=first, last=acknowledged.last, since=acknowledged.made_at
            )
            for part, mismatch, at in await store.ledger_checks(connection):
                metrics.ledger_mismatch.labels(part=part).set(mismatch)
                metrics.ledger_checked.labels(part=part).set(at)
        metrics.reconciler_missing.set(len(missing))
        if missing:
            log.error("archive.incomplete", missing=len(missing), first=missing[0], repair="em reconcile --repair")
        return missing
