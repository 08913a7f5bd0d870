"""The consumer loop: fetch, decode, handle in one transaction, publish, acknowledge. The only place that acks."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import nats.errors
import nats.js.errors
from nats.aio.msg import Msg
from nats.js import JetStreamContext

from shared.bus.connection import Bus
from shared.bus.dead import dead_letter
from shared.bus.outcomes import Reject, Retry
from shared.bus.publisher import FrameTooLarge, PublishError
from shared.contracts.envelope import (
    TRACEPARENT,
    Outgoing,
    UnreadableMessage,
    read_delivery,
    read_event,
    salvage_delivery,
)
from shared.contracts.streams import RAW, Durable
from shared.db import Connection, Pool, inbox
from shared.db.polling import pause
from shared.db.pool import INFRASTRUCTURE_ERRORS
from shared.telemetry import logs, metrics, tracing

log = logs.get(__name__)

Handler = Callable[[Sequence[Any], Connection], Awaitable[Sequence[Outgoing] | None]]
HandlerTable = Mapping[type, Handler]
OnDead = Callable[[Any, str, Connection], Awaitable[None]]

FETCH_TIMEOUT_S = 0.5
GIVE_BACK_TIMEOUT_S = 0.2
PUBLISH_TIMEOUT_S = 10.0
BACKOFF_MAX_S = 10.0
UNEXPECTED_DELAY_S = 5.0

_BROKER_ERRORS = (PublishError, nats.errors.Error)


class Received:
    """A message in hand: what it decodes to, and its place in the stream."""

    def __init__(self, message: Msg, item: Any) -> None:
        self.message = message
        self.item = item
        self.headers: dict[str, str] = message.headers or {}
        self.sequence: int = message.metadata.sequence.stream
        self.redelivered = (message.metadata.num_delivered or 1) > 1
        self.settled = False

    @property
    def id(self) -> str:
        return str(getattr(self.item, "id", "")) or f"sequence:{self.sequence}"


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
    ) -> None:
        self._bus = bus
        self._pool = pool
        self._durable = durable
        self._stream = bus.subjects.stream(durable.stream)
        self._handlers = handlers
        self._once = once
        self._on_dead = on_dead
        self._batch_max = batch_max
        self._problem: str | None = "not started"
        self._label = metrics_label(durable)

    async def problem(self) -> str | None:
        """For readiness: why this consumer doesn't get on, or None."""
        return self._problem

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then what is in hand is finished and acknowledged."""
        backoff_s = 0.0
        while not stop.is_set():
            try:
                await self._consume(stop)
            except (*INFRASTRUCTURE_ERRORS, *_BROKER_ERRORS) as error:
                backoff_s = self._stalled(error, backoff_s)
                await pause(stop, backoff_s)
        log.info("consumer.drained", consumer=self._label)

    async def _consume(self, stop: asyncio.Event) -> None:
        subscription = await self._bus.js.pull_subscribe_bind(
            durable=self._durable.name,
            stream=self._stream,
            inbox_prefix=f"_INBOX_{self._durable.name}.".encode(),
        )
        try:
            while not stop.is_set():
                messages = await self._fetch(subscription)
                if messages:
                    await self._settle_until_done(messages, stop)
        finally:
            if self._bus.connection.is_connected:
                await _give_back(subscription)
                await subscription.unsubscribe()

    async def _fetch(self, subscription: JetStreamContext.PullSubscription) -> list[Msg]:
        try:
            messages = await subscription.fetch(self._batch_max, timeout=FETCH_TIMEOUT_S)
        except TimeoutError:  # nothing there, or the link is gone: only the connection knows which
            if not self._bus.connection.is_connected:
                raise
            messages = []
        self._problem = None
        metrics.consumer_last_success.labels(consumer=self._label).set(time.time())
        return messages

    async def _settle_until_done(self, messages: list[Msg], stop: asyncio.Event) -> None:
        """Infrastructure errors are nobody's fault: what is not settled yet runs again, no attempt charged."""
        started = time.perf_counter()
        received = [Received(message, None) for message in messages]
        backoff_s = 0.0
        while waiting := [each for each in received if not each.settled]:
            try:
                await self._settle(await self._decode(waiting))
            except (*INFRASTRUCTURE_ERRORS, *_BROKER_ERRORS) as error:
                backoff_s = self._stalled(error, backoff_s)
                if await pause(stop, backoff_s):
                    await _return(waiting)
                    return
        self._problem = None
        metrics.consumer_batch_duration.labels(consumer=self._label).observe(time.perf_counter() - started)

    async def _decode(self, messages: Sequence[Received]) -> list[Received]:
        """What this version can read. Unknown kinds are acknowledged, unreadable messages are dead letters."""
        batch = []
        for received in messages:
            try:
                received.item = self._read(received)
            except UnreadableMessage as error:
                received.item = self._salvage(received)
                await self._give_up(received, f"unreadable: {error}")
                continue
            if type(received.item) in self._handlers:
                batch.append(received)
            else:
                await self._ack(received, "skipped")
            if received.redelivered:
                metrics.consumer_redelivered.labels(consumer=self._label).inc()
        return batch

    def _read(self, received: Received) -> Any:
        if self._durable.stream == RAW.name:
            return read_delivery(received.headers, received.message.data, sequence=received.sequence)
        return read_event(received.headers, received.message.data)

    def _salvage(self, received: Received) -> Any:
        """What can be said of an unreadable delivery, for its disposition; nothing of an unreadable event."""
        if self._durable.stream != RAW.name:
            return None
        message = received.message
        return salvage_delivery(
            received.headers, message.data, sequence=received.sequence, stored_at=message.metadata.timestamp
        )

    async def _settle(self, batch: Sequence[Received]) -> None:
        """Handle a batch; who is named or found to be the culprit is set aside, and the rest runs again."""
        if not batch:
            return
        try:
            if outgoing := await self._handle(batch):
                await self._bus.publisher.publish_all(outgoing, timeout_s=PUBLISH_TIMEOUT_S)
        except Reject as reject:
            culprit = _named(batch, reject.of)
            await self._give_up(culprit, reject.reason)
            await self._settle([received for received in batch if received is not culprit])
        except Retry as retry:
            culprit = _named(batch, retry.of)
            await self._set_aside(culprit, retry.after, retry.reason)
            await self._settle([received for received in batch if received is not culprit])
        except (*INFRASTRUCTURE_ERRORS, *_BROKER_ERRORS) as error:
            if not isinstance(error, ValueError):
                raise
            await self._isolate(batch, error)  # asyncpg refused a value: InterfaceError, but somebody's fault
        except Exception as error:  # the one broad except: a bug in a handler must not stop the others' messages
            await self._isolate(batch, error)
        else:
            for received in batch:
                await self._ack(received, "handled")

    async def _handle(self, batch: Sequence[Received]) -> list[Outgoing]:
        parent = batch[0].headers.get(TRACEPARENT, "")
        with tracing.span(f"{self._label} handle", parent=parent):
            async with self._pool.acquire() as connection, connection.transaction():
                fresh = await self._claim(connection, batch)
                outgoing: list[Outgoing] = []
                for handler, items in self._by_handler(fresh).items():
                    outgoing.extend(await handler(items, connection) or ())
                return outgoing

    async def _claim(self, tx: Connection, batch: Sequence[Received]) -> list[Received]:
        if not self._once:
            return list(batch)
        by_id = {received.id: received for received in batch}
        claimed = await inbox.claim(tx, consumer=self._label, message_ids=list(by_id))
        return [received for received_id, received in by_id.items() if received_id in claimed]

    def _by_handler(self, batch: Sequence[Received]) -> dict[Handler, list[Any]]:
        """Kinds that share a handler reach it together: one statement per table per batch."""
        grouped: dict[Handler, list[Any]] = {}
        for received in batch:
            grouped.setdefault(self._handlers[type(received.item)], []).append(received.item)
        return grouped

    async def _isolate(self, batch: Sequence[Received], error: Exception) -> None:
        """Halve until the culprit is alone; alone, it waits while the others go on."""
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._settle(batch[:middle])
            await self._settle(batch[middle:])
            return
        if isinstance(error, FrameTooLarge):  # what it has to say will never fit
            await self._give_up(batch[0], str(error))
            return
        log.exception("message.failed", consumer=self._label, sequence=batch[0].sequence, error=repr(error))
        await self._set_aside(batch[0], timedelta(seconds=UNEXPECTED_DELAY_S), repr(error))

    async def _set_aside(self, received: Received, after: timedelta, reason: str) -> None:
        log.warning("message.set_aside", consumer=self._label, sequence=received.sequence, reason=reason)
        await received.message.nak(delay=after.total_seconds())
        received.settled = True
        metrics.consumer_messages.labels(consumer=self._label, outcome="set_aside").inc()

    async def _give_up(self, received: Received, reason: str) -> None:
        """Dead letter first, then the service's own row, then the acknowledgement: each can be repeated."""
        letter = dead_letter(
            self._bus.subjects,
            service=self._durable.name,
            stream=self._stream,
            sequence=received.sequence,
            subject=received.message.subject,
            headers=received.headers,
            body=received.message.data,
            reason=reason,
        )
        await self._bus.publisher.publish(letter, timeout_s=PUBLISH_TIMEOUT_S)
        if self._on_dead and received.item is not None:
            async with self._pool.acquire() as connection, connection.transaction():
                await self._on_dead(received.item, reason, connection)
        metrics.dead_letters.labels(consumer=self._label).inc()
        log.error("message.rejected", consumer=self._label, sequence=received.sequence, reason=reason)
        await self._ack(received, "rejected")

    async def _ack(self, received: Received, outcome: str) -> None:
        await received.message.ack()
        received.settled = True
        metrics.consumer_messages.labels(consumer=self._label, outcome=outcome).inc()
        age = datetime.now(UTC) - received.message.metadata.timestamp
        metrics.consumer_lag.labels(consumer=self._label).set(age.total_seconds())

    def _stalled(self, error: BaseException, backoff_s: float) -> float:
        """Note why nothing moves; returns how long to wait before the next try."""
        self._problem = f"{type(error).__name__}: {error}"
        log.warning("consumer.stalled", consumer=self._label, error=repr(error))
        return min(BACKOFF_MAX_S, max(0.2, backoff_s * 2))


async def _return(batch: Sequence[Received]) -> None:
    """To whoever consumes next, at once."""
    for received in batch:
        try:
            await received.message.nak()
        except nats.errors.Error as error:  # the broker will find out by itself, after `ack_wait`
            log.warning("message.not_returned", sequence=received.sequence, error=repr(error))


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


def metrics_label(durable: Durable) -> str:
    """`notifier:NOTIFY`: name and stream of a durable, also the inbox's name for it."""
    return f"{durable.name}:{durable.stream}"


def _named(batch: Sequence[Received], item: object) -> Received:
    for received in batch:
        if received.item is item:
            return received
    raise LookupError("a handler rejected something that is not in its batch")
