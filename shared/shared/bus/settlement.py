"""The failure rules: what becomes of each message of a batch (docs/architecture.md, "When something fails").

1. Nobody's fault (broker, database): raised to the caller, who tries the same batch again; no attempt is charged.
2. `Reject` and `Retry` name their message: it leaves the batch, and the rest runs again.
3. Anything else: halve until the culprit is alone; from then on it runs alone, each try counted before it begins,
   and after `deliveries_max` tries it is a dead letter.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.bus import failpoints
from shared.bus.dead import dead_letter
from shared.bus.errors import PublishRejected
from shared.bus.faults import HandlerTimedOut, is_nobodys
from shared.bus.handling import PUBLISH_TIMEOUT_S, Handling
from shared.bus.outcomes import Outcome, Reject, Retry
from shared.bus.pauses import Pauses, as_row
from shared.bus.publisher import Publisher
from shared.bus.received import Received
from shared.contracts.streams import Durable
from shared.contracts.subjects import Subjects
from shared.db import Connection, Pool, waiting
from shared.db.attempts import Attempts
from shared.telemetry import logs, metrics

log = logs.get(__name__)

OnDead = Callable[[Any, str, Connection], Awaitable[None]]

CRASHED = "the process ended while handling it"
SUSPECT_BACKLOG_MAX = 50


class Settlement:
    """Settles what one consumer received. Suspects are put into `suspects`; whoever serves it calls `settle_alone`."""

    def __init__(
        self,
        *,
        pool: Pool,
        publisher: Publisher,
        subjects: Subjects,
        durable: Durable,
        handling: Handling,
        pauses: Pauses,
        on_dead: OnDead | None,
    ) -> None:
        self._pool = pool
        self._publisher = publisher
        self._subjects = subjects
        self._durable = durable
        self._consumer = durable.label
        self._handling = handling
        self._pauses = pauses
        self._on_dead = on_dead
        self._open_tries: dict[int, int] = {}
        self.attempts = Attempts(pool, consumer=durable.label)
        self.suspects: asyncio.Queue[Received | None] = asyncio.Queue(SUSPECT_BACKLOG_MAX)

    async def settle(self, batch: Sequence[Received]) -> None:
        """Raises only what is nobody's fault; what is not settled then may be settled again."""
        while batch:
            try:
                await self._handling.run(batch)
            except (Reject, Retry) as outcome:
                batch = await self._without_named(batch, outcome)
            except Exception as error:  # the one broad except: a bug in a handler must not stop the others' messages
                if is_nobodys(error):
                    raise
                await self._isolate(batch, error)
                return
            else:
                for received in batch:
                    await self.acknowledge(received, "handled")
                return

    async def settle_alone(self, received: Received) -> None:
        """One suspect, its try counted first. After what is nobody's fault, which it raises, the same try goes on."""
        tries = self._open_tries.pop(received.sequence, 0) or await self.attempts.begin(received.sequence)
        if tries > self._durable.deliveries_max:
            reason = await self.attempts.reason(received.sequence) or CRASHED
            await self.give_up(received, reason, tries=self._durable.deliveries_max)
            return
        try:
            await self._handling.run([received])
        except (Reject, Retry) as outcome:
            await self._settle_outcome(received, outcome)
        except Exception as error:  # as in `settle`
            if is_nobodys(error):
                self._open_tries[received.sequence] = tries
                raise
            await self._failed_alone(received, error, tries)
        else:
            await self.attempts.forget(received.sequence)
            await self.acknowledge(received, "handled")

    async def abandon(self, received: Received) -> None:
        """A suspect that somebody else will settle: a try that came to no end is not charged."""
        if self._open_tries.pop(received.sequence, 0):
            await self.attempts.uncharge(received.sequence)
        await received.give_back()

    async def _without_named(self, batch: Sequence[Received], outcome: Outcome) -> list[Received]:
        culprit = next((received for received in batch if received.item is outcome.of), None)
        if culprit is None:
            await self._isolate(batch, LookupError(f"a handler named what is not in its batch: {outcome}"))
            return []
        await self._settle_outcome(culprit, outcome)
        return [received for received in batch if received is not culprit]

    async def _settle_outcome(self, received: Received, outcome: Outcome) -> None:
        if isinstance(outcome, Retry):
            await self._later(received, outcome)
        else:
            await self.give_up(received, outcome.reason)

    async def _isolate(self, batch: Sequence[Received], error: Exception) -> None:
        """Halve until the culprit is alone. Who hangs costs a whole timeout each time: there all run alone at once."""
        if isinstance(error, HandlerTimedOut):
            for received in batch:
                await self.suspects.put(received)
        elif len(batch) > 1:
            middle = len(batch) // 2
            await self.settle(batch[:middle])
            await self.settle(batch[middle:])
        else:
            tries = await self.attempts.begin(batch[0].sequence)
            await self._failed_alone(batch[0], error, tries)

    async def _failed_alone(self, received: Received, error: Exception, tries: int) -> None:
        reason = f"{type(error).__name__}: {error}"
        metrics.handler_failures.labels(consumer=self._consumer, error=type(error).__name__).inc()
        log.exception(
            "message.failed", consumer=self._consumer, sequence=received.sequence, tries=tries, exc_info=error
        )
        await self._pauses.failed(received, reason)
        if tries >= self._durable.deliveries_max or isinstance(error, PublishRejected):
            await self.give_up(received, reason, tries=tries)
            return
        await self.attempts.explain(received.sequence, reason)
        await received.give_back(self._durable.retry_after * 2 ** (tries - 1) * random.uniform(1, 1.25))  # noqa: S311
        metrics.consumer_messages.labels(consumer=self._consumer, outcome="failed").inc()

    async def _later(self, received: Received, retry: Retry) -> None:
        """Into the waiting room: a nak'd message would keep its place among those that the broker counts as in hand."""
        log.info("message.waits", consumer=self._consumer, sequence=received.sequence, reason=retry.reason)
        async with self._pool.acquire() as connection, connection.transaction():
            await waiting.add(connection, [as_row(received, self._consumer, retry.reason)], due_in=retry.after)
            await self.attempts.forget(received.sequence, connection)
        if received.waited:
            received.settled = True
        else:
            await self.acknowledge(received, "waits")

    async def give_up(self, received: Received, reason: str, *, tries: int = 1) -> None:
        """Dead letter first, then the service's own row, then the acknowledgement: each can be repeated."""
        letter = dead_letter(self._subjects, durable=self._durable, received=received, reason=reason, tries=tries)
        await self._publisher.publish(letter, timeout_s=PUBLISH_TIMEOUT_S)
        await failpoints.reach("letter.published")
        async with self._pool.acquire() as connection, connection.transaction():
            if self._on_dead and received.item is not None:
                await self._on_dead(received.item, reason, connection)
            await self.attempts.forget(received.sequence, connection)
        metrics.dead_letters.labels(consumer=self._consumer).inc()
        log.error("message.rejected", consumer=self._consumer, sequence=received.sequence, reason=reason)
        await self.acknowledge(received, "rejected")

    async def acknowledge(self, received: Received, outcome: str) -> None:
        await received.acknowledge()
        if outcome == "handled":
            self._pauses.handled(received.subject)
        metrics.consumer_messages.labels(consumer=self._consumer, outcome=outcome).inc()
        age: timedelta = datetime.now(UTC) - received.stored_at
        metrics.consumer_lag.labels(consumer=self._consumer).set(age.total_seconds())
