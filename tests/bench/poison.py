"""What one poisonous message in a hundred costs the others: latency through shared.bus at a steady rate.

`python -m tests.bench.poison GOOD` is the process that is measured; it ends when it has handled so many.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from em.embedded import NatsServer, PostgresServer
from normalizer.handlers import Deliveries
from shared.bus import Consumer, open_bus
from shared.bus.connection import open_operator
from shared.contracts.envelope import MESSAGE_ID, Outgoing, RawDelivery
from shared.contracts.services import NORMALIZER
from shared.contracts.streams import DEAD, NORMALIZER_RAW
from shared.contracts.subjects import Subjects
from shared.db import Connection
from shared.db.migrate import bootstrap, migrate
from shared.db.pool import open_pool
from shared.settings import DatabaseSettings, ServiceSettings
from shared.telemetry import logs
from tests.provisioning import provisioned
from tests.waiting import until

RATE_PER_S = 200
POISON = b"poison"
DEAD_WITHIN_S = 120.0


class Handled:
    """Milliseconds from publish to the handler's end, of messages that are not poison."""

    def __init__(self) -> None:
        self.latencies: list[float] = []

    async def on_deliveries(self, deliveries: Sequence[RawDelivery], _: Connection) -> None:
        if any(delivery.body == POISON for delivery in deliveries):
            raise RuntimeError("poison")
        now = datetime.now(UTC)
        self.latencies += [(now - delivery.received_at).total_seconds() * 1000 for delivery in deliveries]


async def consume(good: int) -> None:
    settings = DatabaseSettings(nats_url=os.environ["NATS_URL"], database_url=os.environ["DATABASE_URL"])
    async with open_pool(settings, NORMALIZER) as pool, open_bus(settings, NORMALIZER) as bus:
        handled, stop = Handled(), asyncio.Event()
        consumer = Consumer(
            bus=bus,
            pool=pool,
            durable=NORMALIZER_RAW,
            handlers={RawDelivery: handled.on_deliveries},
            on_dead=Deliveries(bus.subjects).on_dead,
            once=False,
        )
        running = asyncio.create_task(consumer.run(stop))
        print("ready", flush=True)

        async def is_empty() -> bool:
            info = await bus.js.consumer_info(bus.subjects.stream(NORMALIZER_RAW.stream), NORMALIZER_RAW.name)
            return len(handled.latencies) >= good and not info.num_ack_pending

        await until(is_empty, timeout_s=DEAD_WITHIN_S, what="not all was handled")
        stop.set()
        await running
    cut = statistics.quantiles(handled.latencies, n=100)
    print(json.dumps({"p50_ms": cut[49], "p99_ms": cut[98], "handled": len(handled.latencies)}))


async def measure(*, rounds: int, seconds: int) -> list[dict[str, object]]:
    found: dict[str, list[dict[str, float]]] = {"without_poison": [], "with_poison": []}
    with tempfile.TemporaryDirectory(prefix="em-bench-", dir=Path("build")) as name:
        Path(name).chmod(0o755)
        for number in range(rounds):
            for case, taken in found.items():
                print(f"  round {number + 1}/{rounds} {case}", file=sys.stderr)
                taken.append(
                    await _round(Path(tempfile.mkdtemp(dir=name)), seconds, every=100 if "with_" in case else 0)
                )
    return [
        {
            "name": f"consumer_{case}",
            "req_s": RATE_PER_S,
            "cpu_us": None,
            "p50_ms": round(statistics.median(each["p50_ms"] for each in taken), 2),
            "p99_ms": round(statistics.median(each["p99_ms"] for each in taken), 2),
            "rss_mb": None,
            "noisy": max(e["p99_ms"] for e in taken) > 2 * min(e["p99_ms"] for e in taken),
        }
        for case, taken in found.items()
    ]


async def _round(directory: Path, seconds: int, *, every: int) -> dict[str, float]:
    """Every `every`-th message is poison; exactly those must be in DEAD at the end."""
    directory.chmod(0o755)
    nats = NatsServer(directory / "nats")
    nats.program = replace(nats.program, env={"PATH": os.defpath})
    count = RATE_PER_S * seconds
    poison = [number for number in range(count) if every and number % every == every // 2]
    async with nats, PostgresServer(directory / "pg") as postgres:
        await bootstrap(postgres.dsn, progress=lambda _: None)
        await migrate(postgres.dsn, progress=lambda _: None)
        await provisioned(nats.url, "em")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench.poison", str(count - len(poison))),
            env={"PATH": os.environ["PATH"], "NATS_URL": nats.url, "DATABASE_URL": postgres.dsn},
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        await process.stdout.readline()
        async with open_operator(ServiceSettings(nats_url=nats.url)) as bus:
            await _publish(bus.publisher, bus.subjects, count, set(poison))
            out, _ = await process.communicate()
            dead = (await bus.js.stream_info(bus.subjects.stream(DEAD.name))).state.messages
    if dead != len(poison):
        raise RuntimeError(f"{len(poison)} were poison, {dead} are dead letters")
    result: dict[str, float] = json.loads(out.splitlines()[-1])
    return result


async def _publish(publisher: object, subjects: Subjects, count: int, poison: set[int]) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / RATE_PER_S - loop.time()))
            message = _message(number, subjects, POISON if number in poison else b"{}")
            group.create_task(publisher.publish(message, timeout_s=10))  # type: ignore[attr-defined]


def _message(number: int, subjects: Subjects, body: bytes) -> Outgoing:
    delivery = RawDelivery(
        source="github",
        event="ping",
        delivery=f"p{number}",
        sha256=f"{number:064x}",
        received_at=datetime.now(UTC),
        body=body,
    )
    headers = {MESSAGE_ID: f"m{number}", **delivery.headers()}
    return Outgoing(subject=subjects.raw(source="github", event="ping"), body=body, headers=headers)


if __name__ == "__main__":
    logs.configure(service="bench", version="0", log_format="text", level="critical")
    asyncio.run(consume(int(sys.argv[1])))
