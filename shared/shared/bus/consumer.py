"""The consumer loop of one durable: fetch, decode, settle. What fails is `settlement`'s; only this package acks."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from nats.js import JetStreamContext

from shared.bus import failpoints
from shared.bus.connection import Bus
from shared.bus.faults import NOBODYS
from shared.bus.hand import Hand
from shared.bus.handling import HandlerTable, Handling
from shared.bus.pauses import Pauses
from shared.bus.reading import read, salvage, size
from shared.bus.received import Received, Streamed, Waited
from shared.bus.settlement import OnDead, Settlement
from shared.bus.watch import Watch
from shared.contracts.envelope import UnreadableMessage
from shared.contracts.streams import Durable
from shared.db import Pool, waiting
from shared.db.polling import pause
from shared.telemetry import logs, metrics

log = logs.get(__name__)

FETCH_TIMEOUT_S = 0.5
GIVE_BACK_TIMEOUT_S = 0.2
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 10.0
SUSPECT_DELIVERIES = 3  # two in company may have been a neighbour's crash
WAITING_MAX = 50
PART_MAX_BYTES = 16 * 1024 * 1024
WAITING_POLL_S = 1.0
HANDLER_TIMEOUT = timedelta(seconds=25)


class Consumer:
    """One durable of one service.

    A `once` consumer claims each message in its inbox, and what its handlers want said goes through their outbox.
    An `again` consumer (`once=False`) has no inbox: it is idempotent, and returns what is to be published before
    the acknowledgement.
    """

    def __init__(
        self,
        *,
        bus: Bus,
        pool: Pool,
        durable: Durable,
        handlers: HandlerTable,
        once: bool = True,
        on_dead: OnDead | None = None,
        batch_max: int = 200,
        handler_timeout: timedelta = HANDLER_TIMEOUT,
    ) -> None:
        self._bus = bus
        self._pool = pool
        self._durable = durable
        self._label = durable.label
        self._batch_max = batch_max
        self._hand = Hand(durable.ack_wait)
        self._pauses = Pauses(pool, consumer=self._label)
        self._watch = Watch(bus, durable)
        self._handling = Handling(
            pool=pool,
            publisher=bus.publisher,
            consumer=self._label,
            handlers=handlers,
            once=once,
            timeout=handler_timeout,
        )
        self._settlement = Settlement(
            pool=pool,
            publisher=bus.publisher,
            subjects=bus.subjects,
            durable=durable,
            handling=self._handling,
            pauses=self._pauses,
            on_dead=on_dead,
        )
        self._stalled: dict[str, str] = {"loop": "not started"}
        self._looked_for_waiting_at = float("-inf")

    async def problem(self) -> str | None:
        """For readiness: why this consumer doesn't get on, or None."""
        return self._watch.problem or next(iter(self._stalled.values()), None)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then what is in hand is finished and acknowledged, or given back."""
        keeping = asyncio.create_task(self._hand.keep())
        alone = asyncio.create_task(self._settle_suspects(stop))
        try:
            while not stop.is_set():
                await self._persist("loop", stop, lambda: self._consume(stop))
        finally:
            await self._settlement.suspects.put(None)
            await alone
            self._hand.release()
            await keeping
        log.info("consumer.drained", consumer=self._label)

    async def _persist(self, part: str, stop: asyncio.Event, work: Callable[[], Awaitable[None]]) -> bool:
        """What fails by nobody's fault is tried again until it works; False when `stop` was set before it did."""
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                await work()
            except NOBODYS as error:
                self._stalled[part] = f"{type(error).__name__}: {error}"
                log.warning("consumer.stalled", consumer=self._label, part=part, error=repr(error))
                if await pause(stop, backoff_s):
                    return False
                backoff_s = min(BACKOFF_MAX_S, backoff_s * 2)
            else:
                self._stalled.pop(part, None)
                return True

    async def _consume(self, stop: asyncio.Event) -> None:
        await self._watch.look()
        subscription = await self._bus.js.pull_subscribe_bind(
            durable=self._durable.name,
            stream=self._bus.subjects.stream(self._durable.stream),
            inbox_prefix=f"_INBOX_{self._durable.name}.".encode(),
        )
        fetching = asyncio.create_task(self._fetch(subscription))
        try:
            while not stop.is_set():
                await self._pauses.refresh()
                await self._take_waiting()
                received = await fetching
                fetching = asyncio.create_task(self._fetch(subscription))  # the next ones come while these are handled
                await self._watch.saw(len(received))
                self._stalled.pop("loop", None)
                for part in in_parts(received):
                    await self._settle(part, stop)
                    for each in part:
                        each.item = each.item if not each.settled else None  # a large body goes with it
        finally:
            await self._return(await _end(fetching))
            if self._bus.connection.is_connected:
                await _give_back(subscription)
                await subscription.unsubscribe()

    async def _fetch(self, subscription: JetStreamContext.PullSubscription) -> list[Received]:
        try:
            messages = await subscription.fetch(self._batch_max, timeout=FETCH_TIMEOUT_S)
        except TimeoutError:  # nothing there, or the link is gone: only the connection knows which
            if not self._bus.connection.is_connected:
                raise
            messages = []
        metrics.consumer_last_success.labels(consumer=self._label).set(time.time())
        received: list[Received] = [Streamed(message) for message in messages]
        self._hand.take(received)
        return received

    async def _take_waiting(self) -> None:
        """What came out of the waiting room runs alone: it failed before, or comes after a flood that did."""
        room = min(WAITING_MAX, self._settlement.suspects.maxsize - self._settlement.suspects.qsize())
        if time.monotonic() - self._looked_for_waiting_at < WAITING_POLL_S or not room:
            return
        rows = await waiting.take(self._pool, consumer=self._label, limit=room, lease=self._durable.ack_wait)
        if len(rows) < room:
            self._looked_for_waiting_at = time.monotonic()
        received = [Waited(row, self._pool) for row in rows]
        self._hand.take(received)
        for each in await self._decode(received):
            await self._settlement.suspects.put(each)

    async def _settle(self, received: Sequence[Received], stop: asyncio.Event) -> None:
        started = time.perf_counter()
        await failpoints.reach("batch.received")
        suspects: set[int] = set()

        async def settle() -> None:
            batch = await self._decode(
                [each for each in received if not each.settled and each.sequence not in suspects]
            )
            for each in await self._suspicious(batch):
                suspects.add(each.sequence)
                await self._settlement.suspects.put(each)
            await self._settlement.settle([each for each in batch if each.sequence not in suspects])

        if not await self._persist("batch", stop, settle):
            await self._return([each for each in received if not each.settled and each.sequence not in suspects])
        metrics.consumer_batch_duration.labels(consumer=self._label).observe(time.perf_counter() - started)

    async def _decode(self, received: Sequence[Received]) -> list[Received]:
        """What this version handles. Unknown kinds are acknowledged, unreadable messages are dead letters."""
        batch = []
        for each in received:
            if self._pauses.is_paused(each.subject):
                await self._pauses.put_aside([each])
                continue
            try:
                each.item = await read(each, self._durable, self._bus.bodies)
            except UnreadableMessage as error:
                each.item = salvage(each, self._durable)
                await self._settlement.give_up(each, f"unreadable: {error}")
                continue
            if self._handling.knows(each.item):
                batch.append(each)
            else:
                await self._settlement.acknowledge(each, "skipped")
        return batch

    async def _suspicious(self, batch: Sequence[Received]) -> list[Received]:
        """Delivered three times, or failed alone before."""
        again = [each for each in batch if each.deliveries > 1]
        if not again:
            return []
        metrics.consumer_redelivered.labels(consumer=self._label).inc(len(again))
        failed = await self._settlement.attempts.failed_before([each.sequence for each in again])
        return [each for each in again if each.deliveries >= SUSPECT_DELIVERIES or each.sequence in failed]

    async def _settle_suspects(self, stop: asyncio.Event) -> None:
        """One after the other, beside the loop: who hangs or fails slowly delays only other suspects."""
        queue = self._settlement.suspects
        while (received := await queue.get()) is not None:
            metrics.consumer_in_suspicion.labels(consumer=self._label).set(queue.qsize())
            if not received.settled and not await self._settle_alone(received, stop):
                await self._return([received])

    async def _return(self, received: Sequence[Received]) -> None:
        """To whoever consumes next, at once."""
        for each in received:
            try:
                await self._settlement.abandon(each)
            except NOBODYS as error:  # the broker will find out by itself, after `ack_wait`
                log.warning("message.not_returned", sequence=each.sequence, error=repr(error))

    async def _settle_alone(self, received: Received, stop: asyncio.Event) -> bool:
        async def settle() -> None:
            if self._pauses.is_paused(received.subject):
                await self._pauses.put_aside([received])
            else:
                await self._settlement.settle_alone(received)

        return not stop.is_set() and await self._persist("suspects", stop, settle)


def in_parts(received: Sequence[Received]) -> list[list[Received]]:
    """In order, none larger in memory than PART_MAX_BYTES unless it is one message: bodies may lie elsewhere."""
    parts: list[list[Received]] = []
    left = 0
    for each in received:
        left -= size(each)
        if left < 0 or not parts:
            parts.append([])
            left = PART_MAX_BYTES - size(each)
        parts[-1].append(each)
    return parts


async def _end(fetching: "asyncio.Task[list[Received]]") -> list[Received]:
    """What a fetch brings that nobody waits for any more."""
    try:
        return await fetching
    except NOBODYS:
        return []


async def _give_back(subscription: JetStreamContext.PullSubscription) -> None:
    """A pull outlives the fetch that made it: what it still brings must not wait here until `ack_wait` is over."""
    await asyncio.sleep(FETCH_TIMEOUT_S)
    while subscription.pending_msgs:
        try:
            messages = await subscription.fetch(subscription.pending_msgs, timeout=GIVE_BACK_TIMEOUT_S)
        except TimeoutError:
            return
        for message in messages:
            await message.nak()
