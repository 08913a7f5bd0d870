"""What becomes of messages that fail: the rules of docs/architecture.md, against real servers and processes."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg

from em.embedded import embedded_nats, embedded_postgres
from shared.contracts.events import IncidentOpened
from shared.db import Connection
from tests.provisioning import provisioned
from tests.waiting import until
from tests.workbench import DURABLE, LABEL, Workbench, open_workbench, prepare, record


class Poison:
    """A handler that raises whenever a poisonous incident is in its batch, and counts how it was run."""

    def __init__(self, *poisonous: str) -> None:
        self.poisonous = frozenset(poisonous)
        self.batches: list[list[str]] = []

    async def __call__(self, incidents: Sequence[IncidentOpened], tx: Connection) -> None:
        names = [incident.incident_id for incident in incidents]
        self.batches.append(names)
        await record(incidents, tx)
        if self.poisonous & {*names}:
            raise ZeroDivisionError("poison")

    def runs(self, name: str) -> int:
        return sum(batch == [name] for batch in self.batches)


def names(count: int, start: int = 0) -> list[str]:
    return [f"n{number:04}" for number in range(start, start + count)]


async def test_poison_is_tried_alone_as_often_as_promised_and_is_then_a_dead_letter(bench: Workbench) -> None:
    poison = Poison("n0003")
    await bench.publish(*names(20))
    async with bench.consuming(poison):
        await until(lambda: bench.has_dead(1), timeout_s=20, what="no dead letter")
        await bench.idle()

    [(letter_id, reason)] = await bench.dead()
    assert letter_id == f"{DURABLE.name}:{bench.bus.subjects.stream('EVENTS')}:4"
    assert reason == "ZeroDivisionError: poison"
    assert poison.runs("n0003") == DURABLE.deliveries_max
    assert await bench.effects() == [name for name in names(20) if name != "n0003"]
    assert await bench.pool.fetchval("SELECT count(*) FROM attempt") == 0


async def test_neighbours_of_poison_run_without_it_after_its_first_failure(bench: Workbench) -> None:
    poison = Poison("n0001")
    await bench.publish(*names(3))
    async with bench.consuming(poison):
        await until(lambda: bench.has_dead(1), timeout_s=20, what="no dead letter")

    company = [batch for batch in poison.batches if "n0001" in batch and len(batch) > 1]
    assert len(company) <= 2  # the batch, and at most one of its halves


async def test_hanging_handler_is_ended_and_only_its_own_message_dies(bench: Workbench) -> None:
    async def hang(incidents: Sequence[IncidentOpened], tx: Connection) -> None:
        await record(incidents, tx)
        if any(incident.incident_id == "n0002" for incident in incidents):
            await asyncio.Event().wait()

    await bench.publish(*names(6))
    async with bench.consuming(hang, handler_timeout=timedelta(seconds=0.3)):
        await until(lambda: bench.has_dead(1), timeout_s=30, what="no dead letter")
        await bench.idle()

    [(_, reason)] = await bench.dead()
    assert reason.startswith("HandlerTimedOut")
    assert await bench.effects() == [name for name in names(6) if name != "n0002"]


async def test_slow_handler_is_waited_for_and_nothing_is_delivered_twice(bench: Workbench) -> None:
    """N-12: the handler takes three times the durable's `ack_wait`."""
    runs: list[int] = []

    async def slow(incidents: Sequence[IncidentOpened], tx: Connection) -> None:
        runs.append(len(incidents))
        await asyncio.sleep(3 * DURABLE.ack_wait.total_seconds())
        await record(incidents, tx)

    await bench.publish("a", "b")
    async with bench.consuming(slow):
        await bench.idle()

    assert sum(runs) == 2
    assert await bench.effects() == ["a", "b"]


@contextmanager
def poisoned(bench: Workbench, tmp_path: Path, nats_url: str, database_url: str) -> Iterator[list[int]]:
    """The process of `tests.poisoned`, started again whenever it dies; yields its exit codes."""
    environment = {
        **os.environ,
        "NATS_URL": nats_url,
        "DATABASE_URL": database_url,
        "NATS_PREFIX": bench.bus.subjects.prefix,
    }
    exits: list[int] = []

    async def keep(stop: asyncio.Event) -> None:
        while not stop.is_set():
            with (tmp_path / "poisoned.log").open("ab") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "tests.poisoned"], env=environment, stderr=log, stdout=log
                )
            while process.poll() is None and not stop.is_set():
                await asyncio.sleep(0.02)
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            exits.append(await asyncio.to_thread(process.wait, 15))

    stop = asyncio.Event()
    keeping = asyncio.create_task(keep(stop))
    try:
        yield exits
    finally:
        stop.set()
        keeping.add_done_callback(lambda task: task.exception())


async def test_N14_poison_of_all_three_sorts_dies_alone(
    bench: Workbench, tmp_path: Path, nats_url: str, database_url: str
) -> None:
    """A message that raises, one that hangs, one that kills the process: each a dead letter, no neighbour with it."""
    good = names(30)
    await bench.publish(*good[:10], "raise-1", *good[10:15], "kill-1", *good[15:20], "hang-1", *good[20:])
    with poisoned(bench, tmp_path, nats_url, database_url) as exits:
        await until(lambda: bench.has_dead(3), timeout_s=90, what="not three dead letters")
        await until(lambda: bench.has_effects(good), timeout_s=30, what="a neighbour is missing")
        await bench.idle()

    reasons = {reason.partition(":")[0] for _, reason in await bench.dead()}
    assert reasons == {"ZeroDivisionError", "HandlerTimedOut", "the process ended while handling it"}
    assert exits.count(-signal.SIGKILL) > DURABLE.deliveries_max
    assert len(await bench.dead()) == 3


async def test_flood_of_failures_pauses_its_subject_and_resuming_handles_what_waited(bench: Workbench) -> None:
    poison = Poison(*names(60))
    await bench.publish(*names(60))
    async with bench.consuming(poison):
        await until(lambda: bench.has_rows("paused", 1), timeout_s=30, what="the subject was not paused")
        await bench.publish(*names(5, start=100))
        await bench.idle()
        assert await bench.effects() == []
        waiting = await bench.waiting()
        assert len(waiting) + len(await bench.dead()) == 65
        assert set(names(5, start=100)) <= await bench.waiting_names()

        poison.poisonous = frozenset()
        await bench.pool.execute("DELETE FROM paused")
        await until(lambda: bench.has_rows("waiting", 0), timeout_s=30, what="what waited was not handled")

    assert len(await bench.effects()) == 65 - len(await bench.dead())


async def test_rare_poison_on_a_busy_subject_pauses_nobody(bench: Workbench) -> None:
    every = names(400)
    poison = Poison(*every[::16])
    await bench.publish(*every)
    async with bench.consuming(poison):
        await until(lambda: bench.has_dead(25), timeout_s=60, what="not every poison died")
        await bench.idle()

    assert await bench.pool.fetchval("SELECT count(*) FROM paused") == 0
    assert await bench.effects() == [name for name in every if name not in poison.poisonous]


async def test_deleted_consumer_is_named_and_the_next_one_goes_on(bench: Workbench) -> None:
    """N-10: to a fetch, a consumer that was deleted looks like one with nothing to do."""
    stream = bench.bus.subjects.stream("EVENTS")
    config = (await bench.bus.js.consumer_info(stream, DURABLE.name)).config
    await bench.publish("a")
    async with bench.consuming(record) as consumer:
        await until(lambda: bench.has_effects(["a"]), timeout_s=10, what="nothing was handled")
        await bench.bus.js.delete_consumer(stream, DURABLE.name)

        async def is_named() -> bool:
            return "is not there" in (await consumer.problem() or "")

        await until(is_named, timeout_s=6, what="nobody noticed")
        await bench.bus.js.add_consumer(stream, config=config)
        await bench.publish("b")
        await until(lambda: bench.has_effects(["a", "b"]), timeout_s=15, what="the new consumer was not used")
        assert await consumer.problem() is None


async def test_database_away_charges_nobody_and_nothing_is_delivered_again(
    nats_url: str, prefix: str, tmp_path: Path
) -> None:
    """Longer than `ack_wait`, and than a suspect's tries: what was in hand stays there until the database is back."""
    runs: list[int] = []

    async def note(incidents: Sequence[IncidentOpened], tx: Connection) -> None:
        runs.append(len(incidents))
        await record(incidents, tx)

    async with embedded_postgres(tmp_path / "pg") as postgres, open_workbench(nats_url, postgres.dsn, prefix) as bench:
        await prepare(bench)
        async with bench.consuming(note) as consumer:
            await bench.publish("a")
            await until(lambda: bench.has_effects(["a"]), timeout_s=10, what="nothing was handled")
            await postgres.kill()
            await bench.publish("b", "c")

            async def is_named() -> bool:
                return await consumer.problem() is not None

            await until(is_named, timeout_s=10, what="the consumer says that it gets on")
            await asyncio.sleep(4 * DURABLE.ack_wait.total_seconds())
            await postgres.start()
            await until(lambda: bench.has_effects(["a", "b", "c"]), timeout_s=20, what="it did not go on")
            await bench.idle()
        info = await bench.bus.js.consumer_info(bench.bus.subjects.stream("EVENTS"), DURABLE.name)
        assert info.num_redelivered == 0
        assert await bench.pool.fetchval("SELECT count(*) FROM attempt") == 0
        assert await bench.dead() == []
        assert sum(runs) == 3


async def test_broker_away_charges_nobody(database_url: str, tmp_path: Path) -> None:
    async with embedded_nats(tmp_path / "nats") as nats:
        await provisioned(nats.url, "away")
        async with open_workbench(nats.url, database_url, "away") as bench:
            await prepare(bench)
            async with bench.consuming(record) as consumer:
                await bench.publish("a")
                await until(lambda: bench.has_effects(["a"]), timeout_s=10, what="nothing was handled")
                await nats.kill()

                async def is_named() -> bool:
                    return await consumer.problem() is not None

                await until(is_named, timeout_s=10, what="the consumer says that it gets on")
                await nats.start()
                await bench.publish("b")
                await until(lambda: bench.has_effects(["a", "b"]), timeout_s=20, what="it did not go on")
                await bench.idle()
            assert await bench.dead() == []


async def test_try_is_not_charged_when_the_process_stops_during_an_outage(bench: Workbench) -> None:
    """The suspect's try met a failing database, and then SIGTERM: whoever gets it next starts with the same count."""

    async def unreachable(incidents: Sequence[IncidentOpened], tx: Connection) -> None:
        raise asyncpg.SerializationError("could not serialize")

    await bench.publish("a")
    await bench.pool.execute("INSERT INTO attempt VALUES ($1, 1, 2, 'once')", LABEL)
    await bench.pool.execute(
        "INSERT INTO waiting SELECT $1, 1, $2, $3, $4, now(), 'test'",
        LABEL,
        bench.message("a").subject,
        bench.headers("a"),
        bench.message("a").body,
    )
    async with bench.consuming(unreachable) as consumer:

        async def is_named() -> bool:
            return "could not serialize" in (await consumer.problem() or "")

        await until(is_named, timeout_s=10, what="the suspect was not tried")

    assert await bench.pool.fetchval("SELECT tries FROM attempt") == 2
