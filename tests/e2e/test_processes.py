"""Several processes of one service on one durable: law 4 holds, nothing is lost when one of them is killed."""

import asyncio
import dataclasses
import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from em.embedded.ports import free_ports
from em.embedded.server import Server
from em.program import Program, Ready
from metrics_svc.facts import Fact
from shared.contracts.envelope import event_message
from shared.contracts.services import METRICS_SVC
from shared.contracts.subjects import Subjects
from tests.line import BOOKKEEPING, Line
from tests.shipping import deployed, merged
from tests.waiting import until

PAIRS = 100


def another(line: Line, number: int) -> Server:
    """One more process of metrics-svc, with a port of its own."""
    [port] = free_ports(1)
    environment = {
        **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")},
        "NATS_URL": line.nats_url,
        "NATS_PREFIX": line.subjects.prefix,
        "DATABASE_URL": line.database_url,
        "DB_POOL_SIZE": "2",
        "CATALOG_PATH": str(line.directory / "catalog.yaml"),
        "METRICS_SVC_PORT": str(port),
    }
    return Server(
        Program(
            name=f"metrics-svc-{number}",
            argv=(sys.executable, "-m", METRICS_SVC.name),
            env=environment,
            cwd=str(line.directory),
            log_path=str(line.directory / f"metrics_svc-{number}.log"),
            ready=Ready(url=f"http://127.0.0.1:{port}/ready", deadline_s=30),
        )
    )


def halves(pairs: int) -> tuple[list[Fact], list[Fact]]:
    """Changes, and the deployments that carry them: neither half means anything without the other."""
    changes: list[Fact] = []
    deployments: list[Fact] = list(deployed(1, "m0", -1))
    for number in range(1, pairs + 1):
        changes += merged(number, f"feature/{number}", number, authored=[number - 0.5])
        deployments += deployed(1000 + number, f"m{number}", number + 0.4)
    return changes, deployments


async def publish(line: Line, events: Sequence[Fact]) -> None:
    async with line.broker() as broker:
        js = broker.jetstream()
        for start in range(0, len(events), 100):
            messages = [event_message(event, Subjects(line.subjects.prefix)) for event in events[start : start + 100]]
            acks = [await js.publish_async(m.subject, m.body, headers=m.headers) for m in messages]
            await asyncio.gather(*acks)


@pytest.mark.parametrize("processes", [2, 4])
async def test_law_4_pairs_written_by_several_processes_at_once_are_all_linked(
    shop: Line, scale: int, processes: int
) -> None:
    pairs = PAIRS if scale == 1 else 1000
    changes, deployments = halves(pairs)
    events = [*changes, *deployments]
    random.Random(processes).shuffle(events)  # repeatable
    others = [another(shop, number) for number in range(2, processes + 1)]
    try:
        await asyncio.gather(shop.start(METRICS_SVC), *(server.start() for server in others))
        await publish(shop, events)
        await shop.settled(timeout_s=120)
        linked = await shop.fetch("SELECT count(*) AS n FROM metrics.change_link WHERE deployment IS NOT NULL")
        assert linked[0]["n"] == pairs
        logs = [shop.log(METRICS_SVC), *(Path(server.program.log_path).read_text() for server in others)]
        assert not any("message.failed" in log for log in logs)
        assert await shop.messages("DEAD") == 0
        together = await shop.dump("metrics")
        assert together == await alone(shop, events)
    finally:
        await asyncio.gather(*(server.stop() for server in others))


async def alone(line: Line, events: Sequence[Fact]) -> dict[str, object]:
    """The tables after one process has handled the same events in the order of time."""
    await line.stop()
    tables = await line.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'metrics'")
    names = [row["tablename"] for row in tables if row["tablename"] not in ("alembic_version", "catalog_version")]
    await line.fetch("TRUNCATE " + ", ".join(f"metrics.{name}" for name in names))
    async with line.broker() as broker:
        js = broker.jetstream()
        stream = line.subjects.stream("EVENTS")
        config = (await js.consumer_info(stream, METRICS_SVC.name)).config
        await js.purge_stream(stream)
        stream_config = (await js.stream_info(stream)).config
        stream_config.duplicate_window = 0.2
        await js.update_stream(stream_config)
        await js.delete_consumer(stream, METRICS_SVC.name)
        await js.add_consumer(stream, config=config)
    await asyncio.sleep(0.5)
    await line.start(METRICS_SVC)
    await publish(line, sorted(events, key=lambda event: event.occurred_at))
    await line.settled(timeout_s=120)
    return await line.dump("metrics")


async def test_process_killed_beside_others_loses_nothing(shop: Line) -> None:
    changes, deployments = halves(PAIRS)
    other = another(shop, 2)
    try:
        await asyncio.gather(shop.start(METRICS_SVC), other.start())
        publishing = asyncio.create_task(publish(shop, [*changes, *deployments]))

        async def has_begun() -> bool:
            return await shop.count("metrics.change") > 0

        await until(has_begun, timeout_s=20, what="nothing was handled")
        await other.kill()
        await publishing
        await shop.settled(timeout_s=60)
        linked = await shop.fetch("SELECT count(*) AS n FROM metrics.change_link WHERE deployment IS NOT NULL")
        assert linked[0]["n"] == PAIRS
    finally:
        await other.stop()


async def test_P05_process_that_slept_through_its_lease_writes_nothing_twice(shop: Line) -> None:
    """A process that is stopped with a batch in hand wakes up after another has handled it."""
    changes, deployments = halves(PAIRS)
    other = another(shop, 2)
    other.program = dataclasses.replace(other.program, env={**other.program.env, "FAILPOINT": "batch.handled:sleep:1"})
    try:
        await other.start()
        publishing = asyncio.create_task(publish(shop, [*changes, *deployments]))

        async def is_in_hand() -> bool:
            async with shop.broker() as broker:
                info = await broker.jetstream().consumer_info(shop.subjects.stream("EVENTS"), METRICS_SVC.name)
                return bool(info.num_ack_pending)

        await until(is_in_hand, timeout_s=20, what="nothing was taken")
        assert other.pid
        os.kill(other.pid, signal.SIGSTOP)
        await publishing
        await shop.start(METRICS_SVC)

        async def is_linked() -> bool:
            rows = await shop.fetch("SELECT count(*) AS n FROM metrics.change_link WHERE deployment IS NOT NULL")
            return bool(rows[0]["n"] == PAIRS)

        await until(is_linked, timeout_s=60, what="nobody took over")
        without = (*BOOKKEEPING, "attempt")  # what it had in hand may still be counted as tried
        before = await shop.dump("metrics", without=without)
        os.kill(other.pid, signal.SIGCONT)
        await shop.settled(timeout_s=60)

        assert await shop.dump("metrics", without=without) == before
        assert await shop.fetch("SELECT FROM metrics.attempt") == []
        assert await shop.messages("DEAD") == 0
    finally:
        if other.pid:
            os.kill(other.pid, signal.SIGCONT)
        await other.stop()
