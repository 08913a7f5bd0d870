"""A consumer under test: real broker and database, a table of effects, and handlers that a test writes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import msgspec

from shared.bus import Bus, Consumer, open_bus
from shared.bus.browse import unacknowledged
from shared.contracts.envelope import Outgoing, encode_event, event_headers
from shared.contracts.events import IncidentOpened
from shared.contracts.services import METRICS_SVC
from shared.contracts.streams import METRICS_EVENTS
from shared.db import Connection, Pool
from shared.db.tables import FAILURE_RULES, INBOX, OUTBOX
from shared.settings import ServiceSettings
from tests.waiting import until

# Impatient, so that tests are quick: the rules are the same.
DURABLE = msgspec.structs.replace(METRICS_EVENTS, ack_wait=timedelta(seconds=1), retry_after=timedelta(milliseconds=50))
LABEL = DURABLE.label


class Workbench:
    """A bus, a database with inbox and outbox, and a table `effect` that handlers write to."""

    def __init__(self, bus: Bus, pool: Pool) -> None:
        self.bus = bus
        self.pool = pool

    async def publish(self, *incident_ids: str) -> None:
        await self.bus.publisher.publish_all([self.message(i) for i in incident_ids], timeout_s=5)

    def message(self, incident_id: str) -> Outgoing:
        event = IncidentOpened(occurred_at=datetime.now(UTC), incident_id=incident_id, title="down").stamped(
            id=f"id-{incident_id}", source="test", origin="live", received_at=None
        )
        return Outgoing(
            subject=self.bus.subjects.event(event.kind), body=encode_event(event), headers=event_headers(event)
        )

    async def effects(self) -> list[str]:
        return [row["name"] for row in await self.pool.fetch("SELECT name FROM effect ORDER BY name")]

    async def waiting(self) -> list[str]:
        return [row["subject"] for row in await self.pool.fetch("SELECT subject FROM waiting ORDER BY sequence")]

    async def waiting_names(self) -> set[str]:
        rows = await self.pool.fetch("SELECT body FROM waiting")
        return {msgspec.json.decode(row["body"])["incident_id"] for row in rows}

    def headers(self, incident_id: str) -> bytes:
        return msgspec.json.encode(self.message(incident_id).headers)

    async def has_effects(self, names: Sequence[str]) -> bool:
        return await self.effects() == sorted(names)

    async def has_rows(self, table: str, count: int) -> bool:
        return bool(await self.pool.fetchval(f"SELECT count(*) FROM {table}") == count)

    async def has_dead(self, count: int) -> bool:
        info = await self.bus.js.stream_info(self.bus.subjects.stream("DEAD"))
        return bool(info.state.messages >= count)

    async def dead(self) -> list[tuple[str, str]]:
        """(message id, reason) of every dead letter."""
        js = self.bus.js
        stream = self.bus.subjects.stream("DEAD")
        info = await js.stream_info(stream)
        found = [await js.get_msg(stream, sequence) for sequence in range(1, info.state.last_seq + 1)]
        return [((m.headers or {})["Nats-Msg-Id"], (m.headers or {})["Em-Dead-Reason"]) for m in found]

    @asynccontextmanager
    async def consuming(self, handler: Callable[..., object], **options: object) -> AsyncIterator[Consumer]:
        consumer = Consumer(
            bus=self.bus,
            pool=self.pool,
            durable=DURABLE,
            handlers={IncidentOpened: handler},  # type: ignore[dict-item]  # tests pass plain coroutines
            **options,  # type: ignore[arg-type]
        )
        stop = asyncio.Event()
        running = asyncio.create_task(consumer.run(stop))
        try:
            yield consumer
        finally:
            stop.set()
            await asyncio.wait_for(running, 15)

    async def idle(self) -> None:
        await until(self.is_idle, timeout_s=20, what="the consumer did not become idle")

    async def is_idle(self) -> bool:
        return await unacknowledged(self.bus.js, self.bus.subjects, DURABLE) == 0


@asynccontextmanager
async def open_workbench(nats_url: str, database_url: str, prefix: str) -> AsyncIterator[Workbench]:
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(asyncpg.create_pool(database_url, min_size=1, max_size=4))
        bus = await stack.enter_async_context(
            open_bus(ServiceSettings(nats_url=nats_url, nats_prefix=prefix), METRICS_SVC)
        )
        yield Workbench(bus, pool)


async def prepare(workbench: Workbench) -> None:
    """The tables, and the durable with the impatient times."""
    for statement in (INBOX, OUTBOX, *FAILURE_RULES, "CREATE TABLE effect (name text)"):
        await workbench.pool.execute(statement)
    stream = workbench.bus.subjects.stream(DURABLE.stream)
    config = (await workbench.bus.js.consumer_info(stream, DURABLE.name)).config
    config.ack_wait = DURABLE.ack_wait.total_seconds()
    await workbench.bus.js.add_consumer(stream, config=config)


async def record(incidents: Sequence[IncidentOpened], tx: Connection) -> None:
    await tx.executemany("INSERT INTO effect VALUES ($1)", [(incident.incident_id,) for incident in incidents])
