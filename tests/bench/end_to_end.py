"""From an accepted delivery to its committed row, at a steady rate: ingest and normalizer as they ship, with fsync."""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import asyncpg

from em.embedded import NatsServer, PostgresServer
from em.embedded.ports import free_ports
from em.sandbox.sender import github_headers
from shared.db.migrate import bootstrap, migrate
from tests.bench.ladder import BODY_BYTES, SECRET
from tests.bench.process import running
from tests.provisioning import provisioned

RATE_PER_S = 1000
SENDERS = 64
SETTLES_WITHIN_S = 30.0


class Sender:
    """Connections that are free take what is due; latencies count from when it was due, not from when one was free."""

    def __init__(self, port: int, *, rate_per_s: int, body: Callable[[str], tuple[str, bytes]]) -> None:
        """`body` makes event and body of a delivery's name."""
        self._port = port
        self._rate_per_s = rate_per_s
        self._body = body
        self._due: asyncio.Queue[tuple[str, float] | None] = asyncio.Queue()
        self.accepted_at: dict[str, float] = {}
        self.accept_ms: list[float] = []

    async def send(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            for _ in range(SENDERS):
                group.create_task(self._connection())
            began = loop.time() + 0.1
            for number in range(count):
                due = began + number / self._rate_per_s
                await asyncio.sleep(max(0.0, due - loop.time()))
                self._due.put_nowait((f"e2e-{number}", due))
            for _ in range(SENDERS):
                self._due.put_nowait(None)

    async def _connection(self) -> None:
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        while (job := await self._due.get()) is not None:
            delivery, due = job
            event, body = self._body(delivery)
            lines = [f"{k}: {v}" for k, v in github_headers(SECRET, event, delivery, body).items()]
            head = ["POST /webhooks/github HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *lines]
            writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
            told = await reader.readuntil(b"\r\n\r\n")
            length = next(line for line in told.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
            if told[9:12] != b"202":
                raise RuntimeError(f"answered {told[9:12]!r}")
            now = loop.time()
            self.accepted_at[delivery] = now
            self.accept_ms.append((now - due) * 1000)
        writer.close()


def ping(delivery: str) -> tuple[str, bytes]:
    return "ping", b'{"zen":"%b","hook_id":1,"padding":"%b"}' % (delivery.encode(), b"x" * BODY_BYTES)


async def watch(dsn: str, count: int, committed_at: dict[str, float]) -> None:
    """When each row was first seen by another connection."""
    loop = asyncio.get_running_loop()
    connection = await asyncpg.connect(dsn)
    last = 0
    give_up_at = time.monotonic() + count / RATE_PER_S + SETTLES_WITHIN_S
    while len(committed_at) < count:
        rows = await connection.fetch("SELECT id, delivery FROM normalizer.delivery WHERE id > $1 ORDER BY id", last)
        now = loop.time()
        for row in rows:
            committed_at.setdefault(row["delivery"], now)
        last = rows[-1]["id"] if rows else last
        if time.monotonic() > give_up_at:
            raise RuntimeError(f"{count} accepted, {len(committed_at)} committed")
        await asyncio.sleep(0.002)
    await connection.close()


async def measure(*, rounds: int, seconds: int) -> list[dict[str, object]]:
    found = []
    with tempfile.TemporaryDirectory(prefix="em-bench-", dir=Path("build")) as name:
        Path(name).chmod(0o755)
        for number in range(rounds):
            print(f"  round {number + 1}/{rounds} end_to_end", file=sys.stderr)
            found.append(await _round(Path(tempfile.mkdtemp(dir=name)), seconds))
    return [_row("accept", [accept for accept, _ in found]), _row("committed", [committed for _, committed in found])]


def _row(what: str, rounds: list[list[float]]) -> dict[str, object]:
    cuts = [statistics.quantiles(each, n=100) for each in rounds]
    p99 = [cut[98] for cut in cuts]
    return {
        "name": f"end_to_end_{what}",
        "req_s": RATE_PER_S,
        "cpu_us": None,
        "p50_ms": round(statistics.median(cut[49] for cut in cuts), 2),
        "p99_ms": round(statistics.median(p99), 2),
        "rss_mb": None,
        "noisy": max(p99) > 2 * min(p99),
    }


async def _round(directory: Path, seconds: int) -> tuple[list[float], list[float]]:
    """Milliseconds from due to accepted, and from accepted to committed."""
    directory.chmod(0o755)
    nats = NatsServer(directory / "nats")
    nats.program = replace(nats.program, env=_path())
    async with nats, PostgresServer(directory / "pg") as postgres:
        await bootstrap(postgres.dsn, progress=lambda _: None)
        await migrate(postgres.dsn, progress=lambda _: None)
        await provisioned(nats.url, "em")
        edge, behind = free_ports(2)
        environment = {**_path(), "NATS_URL": nats.url, "DATABASE_URL": postgres.dsn}
        ingest = {
            **environment,
            "INGEST_PORT": str(edge),
            "GITHUB_WEBHOOK_SECRET": SECRET,
            "SOURCE_RATE_PER_S": "1000000",
        }
        normalizer = {**environment, "NORMALIZER_PORT": str(behind)}
        python = [sys.executable, "-m"]
        with (
            running([*python, "ingest"], ingest, port=edge, log=directory / "ingest.log", pinned=False),
            running([*python, "normalizer"], normalizer, port=behind, log=directory / "normalizer.log", pinned=False),
        ):
            return await _drive(Sender(edge, rate_per_s=RATE_PER_S, body=ping), postgres.dsn, seconds * RATE_PER_S)


async def _drive(sender: Sender, dsn: str, count: int) -> tuple[list[float], list[float]]:
    committed_at: dict[str, float] = {}
    async with asyncio.TaskGroup() as group:
        group.create_task(watch(dsn, count, committed_at))
        group.create_task(sender.send(count))
    committed = [max(0.0, committed_at[one] - at) * 1000 for one, at in sender.accepted_at.items()]
    return sender.accept_ms, committed


def _path() -> dict[str, str]:
    return {"PATH": os.environ["PATH"]}
