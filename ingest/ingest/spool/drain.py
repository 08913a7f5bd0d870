"""Brings what is spooled to the broker: oldest first, beside new traffic, at most half of the time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from pathlib import Path

import msgspec

from ingest.spool.spool import DAMAGED, REFUSED, Spool, read
from shared.bus.errors import PublishError, PublishRejected
from shared.contracts.envelope import EM_ORIGIN, Outgoing
from shared.db.polling import pause
from shared.telemetry import logs, metrics

log = logs.get(__name__)

BATCH_MAX = 64
BATCH_MAX_BYTES = 4 * 1024 * 1024
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 5.0
LAST_CHANCE_S = 5.0

Publish = Callable[[Outgoing], Awaitable[object]]


class Drain:
    """`publish` raises PublishError: the record stays; PublishRejected: it is set aside and blocks nothing."""

    def __init__(self, spool: Spool, publish: Publish) -> None:
        self._spool = spool
        self._publish = publish

    async def run(self, stop: asyncio.Event) -> None:
        """A loop of the service; when it is told to stop, what can be drained within five seconds still is."""
        backoff_s = BACKOFF_FIRST_S
        while not stop.is_set():
            try:
                drained = await self.drain_oldest(rests=True)
            except PublishError as error:
                log.warning("spool.waits", records=self._spool.records, error=str(error))
                await pause(stop, backoff_s)
                backoff_s = min(BACKOFF_MAX_S, backoff_s * 2)
            else:
                backoff_s = BACKOFF_FIRST_S
                if not drained:
                    await self._until_appended(stop)
        await self._last_chance()

    async def drain_oldest(self, *, rests: bool = False) -> bool:
        """One segment; False when there is none to drain. Raises PublishError; what was drained stays drained."""
        segment = self._spool.oldest()
        if segment is None:
            return False
        while batch := await asyncio.to_thread(_batch, segment.path, segment.drained_size):
            began = time.monotonic()
            names = [f"{segment.path.stem}-{segment.drained_count + place}.rec" for place in range(len(batch))]
            settling = (self._settle(name, *entry) for name, entry in zip(names, batch, strict=True))
            failures = [each for each in await asyncio.gather(*settling, return_exceptions=True) if each]
            if failures:
                raise failures[0]
            self._spool.drained(count=len(batch), size=sum(len(raw) for _, raw in batch))
            if rests:
                await asyncio.sleep(time.monotonic() - began)
        self._spool.remove_oldest()
        return True

    async def _settle(self, name: str, message: Outgoing | None, raw: bytes) -> None:
        if message is None:
            self._spool.set_aside(DAMAGED, name, raw)
            metrics.spool_damaged.inc()
            log.error("spool.damaged", record=name, bytes=len(raw))
            return
        try:
            await self._publish(_spooled(message))
        except PublishRejected as error:
            self._spool.set_aside(REFUSED, name, raw)
            metrics.spool_refused.inc()
            log.error("spool.refused", record=name, error=str(error))

    async def _until_appended(self, stop: asyncio.Event) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (self._spool.appended, stop)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        self._spool.appended.clear()

    async def _last_chance(self) -> None:
        try:
            async with asyncio.timeout(LAST_CHANCE_S):
                while await self.drain_oldest():
                    pass
        except (PublishError, TimeoutError):
            log.warning("spool.left", records=self._spool.records, bytes=self._spool.size)


def _batch(path: Path, done: int) -> Sequence[tuple[Outgoing | None, bytes]]:
    """The next records behind `done` bytes, at least one and no more than goes at once."""
    batch: list[tuple[Outgoing | None, bytes]] = []
    size = 0
    for record, raw in islice(read(path, start=done), BATCH_MAX):
        if batch and size + len(raw) > BATCH_MAX_BYTES:
            break
        size += len(raw)
        batch.append((record.message, raw))
    return batch


def _spooled(message: Outgoing) -> Outgoing:
    """Its origin tells that it was held up; the demo's stays what it is."""
    if message.headers.get(EM_ORIGIN) != "live":
        return message
    return msgspec.structs.replace(message, headers={**message.headers, EM_ORIGIN: "spool"})
