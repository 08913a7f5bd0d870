"""Brings what is spooled to the broker: oldest first, beside new traffic, at most half of the time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from itertools import takewhile

import msgspec

from ingest.spool.files import DAMAGED, REFUSED, Segment, read
from ingest.spool.segment import Record
from ingest.spool.spool import Spool
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
        draining = asyncio.create_task(self._drain_until(stop))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([draining, stopping], return_when=asyncio.FIRST_COMPLETED)
            async with asyncio.timeout(LAST_CHANCE_S):
                await draining
        except (PublishError, OSError) as error:  # the end of the five seconds is one of the latter
            log.warning("spool.undrained", error=str(error) or "no time is left")
        finally:
            draining.cancel()
            stopping.cancel()
        if self._spool.records:
            log.warning("spool.left", records=self._spool.records, bytes=self._spool.size)

    async def _drain_until(self, stop: asyncio.Event) -> None:
        """And then the rest, without a rest. Raises PublishError or OSError only then."""
        backoff_s = BACKOFF_FIRST_S
        while not stop.is_set():
            began = time.monotonic()
            try:
                drained = await self.drain_oldest()
            except (PublishError, OSError) as error:  # a disk without room for what is to be set aside heals as well
                log.warning("spool.waits", records=self._spool.records, error=str(error))
                await pause(stop, backoff_s)
                backoff_s = min(BACKOFF_MAX_S, backoff_s * 2)
                continue
            backoff_s = BACKOFF_FIRST_S
            if drained:
                await pause(stop, time.monotonic() - began)
            else:
                await self._until_appended(stop)
        while await self.drain_oldest():
            pass

    async def drain_oldest(self) -> bool:
        """The next few records; False when there is none. Raises PublishError or OSError: what went out before the
        first record that didn't is drained, the rest comes again."""
        segment = self._spool.oldest()
        if segment is None:
            return False
        batch = await asyncio.to_thread(_batch, segment)
        settling = [self._settle(segment, segment.drained_count + place, each) for place, each in enumerate(batch)]
        answers = await asyncio.gather(*settling, return_exceptions=True)
        done = len(list(takewhile(lambda answer: answer is None, answers)))
        await self._spool.drained(segment, count=done, size=sum(record.size for record in batch[:done]))
        if done < len(batch) and (failure := answers[done]):
            raise failure
        return True

    async def _settle(self, segment: Segment, number: int, record: Record) -> None:
        if record.message is None:
            if await self._spool.set_aside(DAMAGED, segment, number, record):
                metrics.spool_damaged.inc()
                log.error("spool.damaged", segment=segment.path.name, record=number, bytes=record.size)
            return
        try:
            await self._publish(_spooled(record.message))
        except PublishRejected as error:
            if await self._spool.set_aside(REFUSED, segment, number, record):
                metrics.spool_refused.inc()
                log.error("spool.refused", segment=segment.path.name, record=number, error=str(error))

    async def _until_appended(self, stop: asyncio.Event) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (self._spool.appended, stop)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        self._spool.appended.clear()


def _batch(segment: Segment) -> list[Record]:
    """In a thread: its next records, at least one and no more than goes at once. Raises OSError."""
    batch: list[Record] = []
    size = 0
    for record in read(segment.path, start=segment.drained_size, size=segment.size):
        size += record.size
        if batch and size > BATCH_MAX_BYTES:
            break
        batch.append(record)
        if len(batch) == BATCH_MAX:
            break
    return batch


def _spooled(message: Outgoing) -> Outgoing:
    """Its origin tells that it was held up; the demo's stays what it is."""
    if message.headers.get(EM_ORIGIN) == "demo":
        return message
    return msgspec.structs.replace(message, headers={**message.headers, EM_ORIGIN: "spool"})
