"""Rungs of the consumers: the loop of shared.bus over 10 KB deliveries, with different work in its handler.

`python -m tests.bench.consumers CASE` is the process that is measured; it ends when the durable is empty.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from em.embedded import NatsServer, PostgresServer
from metrics_svc.consumer import table
from metrics_svc.handlers import Facts
from metrics_svc.rebuild import RebuiltFacts
from normalizer import consumer as normalizer_consumer
from normalizer.handlers import Deliveries
from shared.bus import Bus, Consumer, open_bus
from shared.bus.connection import open_operator
from shared.contracts.envelope import MESSAGE_ID, Outgoing, RawDelivery
from shared.contracts.events import DeploymentFinished
from shared.contracts.services import METRICS_SVC, NORMALIZER
from shared.contracts.streams import METRICS_EVENTS, NORMALIZER_RAW
from shared.contracts.subjects import Subjects
from shared.db import Connection, Pool
from shared.db.catalogs import Catalogs
from shared.db.migrate import bootstrap, migrate
from shared.db.pool import open_pool
from shared.settings import DatabaseSettings, ServiceSettings
from shared.telemetry import logs
from tests.bench.process import cpu_s
from tests.provisioning import provisioned

CASES = (
    "null",
    "copy",
    "single_insert",
    "normalizer",
    "normalizer_1m",
    "metrics_copy",
    "metrics",
    "metrics_4",
)
HISTORY = {"normalizer_1m": 1_000_000}
PROCESSES = {"metrics_4": 4}
BODY_BYTES = 10_000
BATCH = 500


# ---- the work of each case ----------------------------------------------------------------------------------------


async def nothing(_: Sequence[RawDelivery], __: Connection) -> None: ...


async def copy(deliveries: Sequence[RawDelivery], tx: Connection) -> None:
    rows = [(d.source, d.delivery, d.sha256, d.received_at, d.body) for d in deliveries]
    await tx.copy_records_to_table("bench_copy", records=rows)


async def copy_facts(events: Sequence[DeploymentFinished], tx: Connection) -> None:
    rows = [(e.id, e.repository, e.sha, e.occurred_at, b"") for e in events]
    await tx.copy_records_to_table("bench_copy", records=rows)


class SingleInserts:
    """One INSERT per delivery, each its own commit."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def insert(self, deliveries: Sequence[RawDelivery], _: Connection) -> None:
        for d in deliveries:
            await self._pool.execute(
                "INSERT INTO bench_copy VALUES ($1, $2, $3, $4, $5)",
                d.source,
                d.delivery,
                d.sha256,
                d.received_at,
                d.body,
            )


def build(case: str, bus: Bus, pool: Pool) -> Consumer:
    if case.startswith("normalizer"):
        return normalizer_consumer.build(bus, pool)
    if case == "metrics_copy":
        return Consumer(bus=bus, pool=pool, durable=METRICS_EVENTS, handlers={DeploymentFinished: copy_facts})
    if case.startswith("metrics"):
        work = table(RebuiltFacts(Facts(Catalogs(pool, None)), bus.subjects).on_facts)
        return Consumer(bus=bus, pool=pool, durable=METRICS_EVENTS, handlers=work)
    handlers: dict[str, Any] = {"null": nothing, "copy": copy, "single_insert": SingleInserts(pool).insert}
    on_dead = Deliveries(bus.subjects).on_dead
    return Consumer(
        bus=bus, pool=pool, durable=NORMALIZER_RAW, handlers={RawDelivery: handlers[case]}, on_dead=on_dead, once=False
    )


async def consume(case: str) -> None:
    """Prints seconds and CPU seconds, PostgreSQL's beside, from the first message to the last acknowledgement."""
    service = METRICS_SVC if case.startswith("metrics") else NORMALIZER
    durable = METRICS_EVENTS if case.startswith("metrics") else NORMALIZER_RAW
    settings = DatabaseSettings(
        nats_url=os.environ["NATS_URL"],
        nats_prefix=os.environ.get("NATS_PREFIX", "em"),
        database_url=os.environ["DATABASE_URL"],
    )
    async with open_pool(settings, service) as pool, open_bus(settings, service) as bus:
        if service is METRICS_SVC:
            await Catalogs(pool, None).look()
        stop = asyncio.Event()
        running = asyncio.create_task(build(case, bus, pool).run(stop))
        started, ticks = time.perf_counter(), os.times()
        while True:
            info = await bus.js.consumer_info(bus.subjects.stream(durable.stream), durable.name)
            if not info.num_pending and not info.num_ack_pending:
                break
            await asyncio.sleep(0.1)
        took, now = time.perf_counter() - started, os.times()
        backend_cpu_s = await _backend_cpu_s(pool)
        stop.set()
        await running
    own_s = now.user + now.system - ticks.user - ticks.system
    print(json.dumps({"s": took, "cpu_s": own_s, "backend_cpu_s": backend_cpu_s, "rss_mb": _rss_mb()}))


async def _backend_cpu_s(pool: Pool) -> float:
    """Of the processes that serve this pool since it was opened; the server runs on this machine."""
    rows = await pool.fetch(
        """
        SELECT pid FROM pg_stat_activity
        WHERE application_name = current_setting('application_name') AND datname = current_database()
        """
    )
    return sum(cpu_s(row["pid"]) for row in rows)


def _rss_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


# ---- the run ------------------------------------------------------------------------------------------------------


async def measure(*, rounds: int, deliveries: int) -> list[dict[str, object]]:
    taken: dict[str, list[dict[str, float]]] = {case: [] for case in CASES}
    with tempfile.TemporaryDirectory(prefix="em-bench-", dir=Path("build")) as name:
        Path(name).chmod(0o755)
        for number in range(rounds):
            for case in CASES:
                print(f"  round {number + 1}/{rounds} consumer {case}", file=sys.stderr)
                taken[case].append(await _round(case, Path(tempfile.mkdtemp(dir=name)), deliveries))
    return [_row(case, found, deliveries) for case, found in taken.items()]


def _row(case: str, found: list[dict[str, float]], deliveries: int) -> dict[str, object]:
    seconds = [each["s"] for each in found]
    return {
        "name": f"consumer_{case}",
        "req_s": round(deliveries / statistics.median(seconds), 1),
        "cpu_us": round(statistics.median(each["cpu_s"] for each in found) / deliveries * 1e6, 1),
        "p50_ms": None,
        "p99_ms": None,
        "rss_mb": round(max(each["rss_mb"] for each in found), 1),
        "noisy": max(seconds) - min(seconds) > 0.25 * statistics.median(seconds),
    }


async def _round(case: str, directory: Path, deliveries: int) -> dict[str, float]:
    directory.chmod(0o755)
    nats = NatsServer(directory / "nats")
    nats.program = replace(nats.program, env={"PATH": os.defpath})
    async with nats, PostgresServer(directory / "pg") as postgres:
        await bootstrap(postgres.dsn, progress=lambda _: None)
        await migrate(postgres.dsn, progress=lambda _: None)
        await _prepare(postgres.dsn)
        await _age(postgres.dsn, HISTORY.get(case, 0))
        await provisioned(nats.url, "em")
        await _fill(nats.url, deliveries, events=case.startswith("metrics"))
        environment = {"PATH": os.environ["PATH"], "NATS_URL": nats.url, "DATABASE_URL": postgres.dsn}
        command = [sys.executable, "-m", "tests.bench.consumers", case]
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(run(command, environment)) for _ in range(PROCESSES.get(case, 1))]
        await _nothing_is_lost(case, postgres.dsn, deliveries)
    results = [task.result() for task in running]
    return {"s": max(r["s"] for r in results), **{n: sum(r[n] for r in results) for n in ("cpu_s", "rss_mb")}}


async def run(command: list[str], environment: dict[str, str]) -> dict[str, float]:
    done = await asyncio.to_thread(subprocess.run, command, env=environment, capture_output=True, text=True, check=True)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


async def _prepare(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    for schema, role in (("normalizer", NORMALIZER.name), ("metrics", METRICS_SVC.name)):
        await connection.execute(
            f"CREATE TABLE {schema}.bench_copy (a text, b text, c text, d timestamptz, e bytea);"
            f"GRANT ALL ON {schema}.bench_copy TO {role}"
        )
    await connection.close()


async def _age(dsn: str, deliveries: int) -> None:
    """So many deliveries in the archive, with their bodies, as if they had come before."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(f"SELECT setseed(0.5); {OLD_DELIVERIES.format(count=deliveries)}")
    await connection.execute("ANALYZE normalizer.delivery")
    await connection.close()


OLD_DELIVERIES = """
WITH old AS (
    INSERT INTO normalizer.delivery
        (source, delivery, sha256, event, origin, stream_sequence, received_at, bytes, disposition, events)
    SELECT 'github', gen_random_uuid()::text, md5(n::text) || md5((n + 1)::text), 'push', 'live', -n,
           now() - n * interval '1 second', 200, 'events', 1
    FROM generate_series(1, {count}) AS n RETURNING id, received_at, sha256)
INSERT INTO normalizer.body (delivery_id, received_at, body, body_sha256)
SELECT id, received_at, decode(repeat(sha256, 3), 'hex'), sha256 FROM old
"""


async def _fill(url: str, deliveries: int, *, events: bool) -> None:
    make = _event if events else _delivery
    async with open_operator(ServiceSettings(nats_url=url)) as bus:
        for first in range(0, deliveries, BATCH):
            messages = [make(number, bus.subjects) for number in range(first, min(first + BATCH, deliveries))]
            await bus.publisher.publish_all(messages, timeout_s=30)


def _delivery(number: int, subjects: Subjects) -> Outgoing:
    body = _status(number)
    delivery = RawDelivery(
        source="github",
        event="deployment_status",
        delivery=f"bench-{number}",
        sha256=f"{number:064x}",
        received_at=datetime.now(UTC),
        body=body,
    )
    subject = subjects.raw(source="github", event="deployment_status")
    return Outgoing(subject=subject, body=body, headers={MESSAGE_ID: f"m{number}", **delivery.headers()})


def _status(number: int) -> bytes:
    at = datetime.now(UTC).isoformat()
    status = {"id": number, "state": "success", "created_at": at, "updated_at": at, "environment": "production"}
    fields = {"id": number, "sha": f"{number:040x}", "ref": "main", "task": "deploy", "created_at": at}
    body = {
        "action": "created",
        "deployment_status": status,
        "deployment": {**fields, "environment": "production", "creator": {"login": "ana"}},
        "repository": {"full_name": f"acme/web-{number % 7}", "default_branch": "main"},
        "sender": {"login": "ana"},
    }
    return json.dumps({**body, "padding": "x" * (BODY_BYTES - len(json.dumps(body)))}).encode()


def _event(number: int, subjects: Subjects) -> Outgoing:
    from shared.contracts.envelope import event_message

    event = DeploymentFinished(
        occurred_at=datetime.now(UTC),
        repository=f"acme/web-{number % 7}",
        deployment_id=str(number),
        environment="production",
        sha=f"{number:040x}",
        outcome="succeeded",
    )
    stamped = event.stamped(
        id=f"e{number}", source="github", delivery=f"d{number}", origin="live", received_at=datetime.now(UTC)
    )
    return event_message(stamped, subjects)


async def _nothing_is_lost(case: str, dsn: str, deliveries: int) -> None:
    table = {
        "normalizer": "normalizer.delivery",
        "normalizer_1m": "normalizer.delivery",
        "metrics": "metrics.deployment",
        "metrics_4": "metrics.deployment",
        "metrics_copy": "metrics.bench_copy",
    }
    if case == "null":
        return
    connection = await asyncpg.connect(dsn)
    found = await connection.fetchval(f"SELECT count(*) FROM {table.get(case, 'normalizer.bench_copy')}")
    await connection.close()
    if found != deliveries + HISTORY.get(case, 0):
        raise RuntimeError(f"{case}: {deliveries} sent, {found} stored")


if __name__ == "__main__":
    logs.configure(service="bench", version="0", log_format="text", level="error")
    asyncio.run(consume(sys.argv[1]))
