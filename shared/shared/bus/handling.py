"""Handling a batch: claim, handlers, commit; and what those of an `again` consumer return, published after it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from shared.bus import failpoints
from shared.bus.faults import HandlerTimedOut
from shared.bus.publisher import Publisher
from shared.bus.received import Received
from shared.contracts.envelope import TRACEPARENT, Outgoing
from shared.db import Connection, Pool, inbox
from shared.telemetry import tracing

Handler = Callable[[Sequence[Any], Connection], Awaitable[Sequence[Outgoing] | None]]
HandlerTable = Mapping[type, Handler]

PUBLISH_TIMEOUT_S = 10.0
DATABASE_ANSWERS_WITHIN_S = 2.0


class Handling:
    """`once`: claim each message in the inbox. `timeout` is what one run of the handlers may take."""

    def __init__(
        self,
        *,
        pool: Pool,
        publisher: Publisher,
        consumer: str,
        handlers: HandlerTable,
        once: bool,
        timeout: timedelta,
    ) -> None:
        self._pool = pool
        self._publisher = publisher
        self._consumer = consumer
        self._handlers = handlers
        self._once = once
        self._timeout_s = timeout.total_seconds()

    def knows(self, item: object) -> bool:
        return type(item) in self._handlers

    async def run(self, batch: Sequence[Received]) -> None:
        """One transaction, then the publications. Raises what the handlers raise, and HandlerTimedOut."""
        parent = batch[0].headers.get(TRACEPARENT, "")
        with tracing.span(f"{self._consumer} handle", parent=parent):
            outgoing = await self._in_time(batch)
        await failpoints.reach("batch.committed")
        if outgoing:
            await self._publisher.publish_all(outgoing, timeout_s=PUBLISH_TIMEOUT_S)
        await failpoints.reach("batch.published")

    async def _in_time(self, batch: Sequence[Received]) -> list[Outgoing]:
        try:
            async with asyncio.timeout(self._timeout_s) as deadline:
                return await self._transact(batch)
        except TimeoutError:
            if not deadline.expired():
                raise
        async with asyncio.timeout(DATABASE_ANSWERS_WITHIN_S):  # else the database is why: a TimeoutError, nobody's
            await self._pool.fetchval("SELECT 1")
        raise HandlerTimedOut(f"not handled within {self._timeout_s:g} s")

    async def _transact(self, batch: Sequence[Received]) -> list[Outgoing]:
        outgoing: list[Outgoing] = []
        async with self._pool.acquire() as connection, connection.transaction():
            for handler, items in self._by_handler(await self._claim(connection, batch)).items():
                outgoing.extend(await handler(items, connection) or ())
            await failpoints.reach("batch.handled")
        return outgoing

    async def _claim(self, tx: Connection, batch: Sequence[Received]) -> list[Received]:
        if not self._once:
            return list(batch)
        by_id = {received.id: received for received in batch}
        claimed = await inbox.claim(tx, consumer=self._consumer, message_ids=list(by_id))
        return [received for received_id, received in by_id.items() if received_id in claimed]

    def _by_handler(self, batch: Sequence[Received]) -> dict[Handler, list[Any]]:
        """Kinds that share a handler reach it together: one statement per table per batch."""
        grouped: dict[Handler, list[Any]] = {}
        for received in batch:
            grouped.setdefault(self._handlers[type(received.item)], []).append(received.item)
        return grouped
