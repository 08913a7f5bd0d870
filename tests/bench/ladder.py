"""Rungs of ingest: from an empty answer to ours, and a Go gateway, each driven by wrk in rounds that interleave."""

import asyncio
import hashlib
import hmac
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec

from em.embedded import NatsServer
from em.embedded.ports import free_ports
from shared.bus.connection import open_operator
from shared.contracts.streams import RAW
from shared.contracts.subjects import Subjects
from shared.settings import ServiceSettings
from tests.bench.peers import gateway
from tests.bench.process import CORE_OF_OTHERS, Measured, pin, running
from tests.provisioning import provisioned

HERE = Path(__file__).parent
SECRET = "bench"  # of this run alone
BODY_BYTES = 10_000
# What a cloud volume takes to answer an fsync, added to what the disk here takes.
SLOWER_BY_US = 900
SLOW_DISK = (
    *("strace", "-D", "-f", "--seccomp-bpf", "-qqq", "-o", os.devnull, "-e", "trace=fsync,fdatasync"),
    *("-e", f"inject=fsync,fdatasync:delay_exit={SLOWER_BY_US}"),
)
NOISY = 0.25


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """`sync`: whether the broker fsyncs before it acknowledges, `slow`: as on a slower disk. `argv` gets the port."""

    name: str
    connections: int
    argv: Callable[[int], list[str]]
    sync: bool = True
    slow: bool = False
    stores: bool = True


class Round(msgspec.Struct, frozen=True, kw_only=True):
    req_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    rss_mb: float


class Lost(RuntimeError):
    """More was accepted than is stored."""


def rungs() -> list[Rung]:
    def python(*arguments: str) -> Callable[[int], list[str]]:
        return lambda port: [
            sys.executable,
            "-m",
            *arguments,
            *([str(port)] if "tests.bench.apps" in arguments else []),
        ]

    found = [
        Rung(name="asgi_hello_c32", connections=32, argv=python("tests.bench.apps", "hello"), stores=False),
        Rung(name="naive_fastapi_default_c32", connections=32, argv=python("tests.bench.apps", "naive"), sync=False),
        Rung(name="ours_default_c32", connections=32, argv=python("tests.bench.ours"), sync=False),
        Rung(name="prototype_durable_c32", connections=32, argv=python("tests.bench.apps", "prototype")),
        Rung(name="ours_durable_c32", connections=32, argv=python("ingest")),
        Rung(name="ours_durable_c128", connections=128, argv=python("ingest")),
    ]
    program = gateway()
    if program:

        def go(*flags: str) -> Callable[[int], list[str]]:
            return lambda port: [str(program), "-listen", f"127.0.0.1:{port}", *flags]

        found += [
            Rung(name="go_default_c32", connections=32, argv=go(), sync=False),
            Rung(name="go_durable_c32", connections=32, argv=go()),
            Rung(name="go_durable_c128", connections=128, argv=go()),
            Rung(name="go_batched_durable_c128", connections=128, argv=go("-batch")),
        ]
    if shutil.which("strace"):
        found += [slowed(rung) for rung in found if "_durable_" in rung.name and not rung.name.startswith("prototype")]
    return found


def slowed(rung: Rung) -> Rung:
    return msgspec.structs.replace(rung, name=rung.name.replace("_durable_", "_slow_disk_"), slow=True)


async def measure(*, rounds: int, seconds: int) -> list[dict[str, object]]:
    """Rows with medians; `noisy` where rounds differ by more than a quarter."""
    if not shutil.which("wrk"):
        raise SystemExit("make bench needs wrk: apt-get install wrk")
    taken: dict[str, list[Round]] = {}
    with tempfile.TemporaryDirectory(prefix="em-bench-", dir=Path("build")) as name:
        for number in range(rounds):
            for rung in rungs():
                print(f"  round {number + 1}/{rounds} {rung.name}", file=sys.stderr)
                taken.setdefault(rung.name, []).append(await _round(rung, Path(name), seconds))
    return [_row(name, found) for name, found in taken.items()]


def _row(name: str, found: list[Round]) -> dict[str, object]:
    medians = {
        field: round(statistics.median(getattr(each, field) for each in found), 2)
        for field in ("req_s", "cpu_us", "p50_ms", "p99_ms", "rss_mb")
    }
    rates = [each.req_s for each in found]
    return {"name": name, **medians, "noisy": max(rates) - min(rates) > NOISY * statistics.median(rates)}


async def _round(rung: Rung, directory: Path, seconds: int) -> Round:
    store = Path(tempfile.mkdtemp(dir=directory))
    server = NatsServer(store)
    beside = ("taskset", "-c", str(CORE_OF_OTHERS), *(SLOW_DISK if rung.slow else ()))
    server.program = replace(
        server.program,
        argv=(*beside, *server.program.argv),
        env={"PATH": os.environ["PATH"]},  # what it keeps is not limited here
    )
    configuration = store / "nats.conf"
    if not rung.sync:
        configuration.write_text(configuration.read_text().replace("sync_interval: always,", ""))
    async with server:
        await provisioned(server.url, "em")
        [port] = free_ports(1)
        with running(rung.argv(port), _environment(server.url, port), port=port, log=directory / "log") as measured:
            _drive(measured, rung, port, 1)
            result, accepted = _drive(measured, rung, port, seconds)
        await asyncio.sleep(0.2)
        if rung.stores and await _stored(server.url) < accepted:
            raise Lost(f"{rung.name}: {accepted} accepted, {await _stored(server.url)} stored")
    shutil.rmtree(store)
    return result


def _environment(nats_url: str, port: int) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "NATS_URL": nats_url,
        "INGEST_PORT": str(port),
        "GITHUB_WEBHOOK_SECRET": SECRET,
        "SOURCE_RATE_PER_S": "1000000",
        "GOMAXPROCS": "1",
    }


def _drive(measured: Measured, rung: Rung, port: int, seconds: int) -> tuple[Round, int]:
    body = _body()
    path = Path("build") / "body.json"
    path.write_bytes(body)
    signature = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    cpu_s = measured.cpu_s
    done = subprocess.run(
        [
            *("wrk", "-t1", f"-c{rung.connections}", f"-d{seconds}s", "--latency"),
            *("-s", str(HERE / "wrk.lua"), f"http://127.0.0.1:{port}/webhooks/github"),
        ],
        env={"PATH": os.environ["PATH"], "BENCH_BODY": str(path), "BENCH_SIGNATURE": signature},
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: pin(0, CORE_OF_OTHERS),
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    accepted, refused, took_us, p50_us, p99_us, errors = (int(word) for word in line.split()[1:])
    if refused or errors:
        raise Lost(f"{rung.name}: {refused} refused, {errors} broken connections")
    spent_us = (measured.cpu_s - cpu_s) * 1e6
    result = Round(
        req_s=accepted / took_us * 1e6,
        cpu_us=spent_us / max(1, accepted),
        p50_ms=p50_us / 1000,
        p99_ms=p99_us / 1000,
        rss_mb=measured.rss_mb,
    )
    return result, accepted


def _body() -> bytes:
    """A push of GitHub's shape, 10 KB."""
    commit = {"id": "a" * 40, "message": "Make it so", "timestamp": "2026-03-02T10:00:00Z", "distinct": True}
    push: dict[str, object] = {
        "ref": "refs/heads/main",
        "before": "0" * 40,
        "after": "a" * 40,
        "repository": {"full_name": "acme/web", "default_branch": "main"},
        "commits": [commit] * 20,
    }
    text = msgspec.json.encode(push)
    return msgspec.json.encode({**push, "padding": "x" * (BODY_BYTES - len(text) - 13)})


async def _stored(nats_url: str) -> int:
    async with open_operator(ServiceSettings(nats_url=nats_url)) as bus:
        info = await bus.js.stream_info(Subjects().stream(RAW.name))
        return int(info.state.messages)


def ratios(rows: Mapping[str, Mapping[str, float]]) -> dict[str, float | None]:
    """As the issue names them; None where a row is missing."""

    def ratio(one: str, other: str, field: str) -> float | None:
        if one not in rows or other not in rows:
            return None
        return round(rows[one][field] / rows[other][field], 3)

    durable: dict[str, float | None] = {}
    for disk in ("durable", "slow_disk"):
        ours = f"ours_{disk}_c128"
        durable |= {
            f"{disk}_c128_vs_go": ratio(ours, f"go_{disk}_c128", "req_s"),
            f"{disk}_c128_p99_vs_go": ratio(ours, f"go_{disk}_c128", "p99_ms"),
            f"{disk}_c32_vs_go": ratio(f"ours_{disk}_c32", f"go_{disk}_c32", "req_s"),
            f"{disk}_c128_vs_go_batched": ratio(ours, f"go_batched_{disk}_c128", "req_s"),
        }
    return {
        **durable,
        "default_cpu_vs_go": ratio("go_default_c32", "ours_default_c32", "cpu_us"),
        "cpu_vs_naive_fastapi": ratio("naive_fastapi_default_c32", "ours_default_c32", "cpu_us"),
        "production_vs_bare": ratio("ours_durable_c32", "prototype_durable_c32", "cpu_us"),
    }
