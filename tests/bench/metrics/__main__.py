"""`make bench-metrics`: what metrics-svc promises of its speed, measured, printed and written to a file."""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from em.embedded import NatsServer, PostgresServer
from em.embedded.ports import free_ports
from shared.contracts.services import METRICS_SVC
from shared.telemetry import logs
from tests.bench import machine
from tests.bench.machine import BUILD
from tests.bench.metrics import asking, consuming, filling, freshness
from tests.bench.metrics.asking import Asker, percentile
from tests.bench.metrics.consuming import Consumed
from tests.bench.metrics.shape import Shape
from tests.bench.process import running
from tests.provisioning import provisioned

T = TypeVar("T")

BARS = {
    "fresh_p50_ms": ("<=", 50),
    "fresh_p99_ms": ("<=", 500),
    "events_s": (">=", 2000),
    "cost_1m_vs_10k": ("<=", 1.15),
    "rebuild_1m_s": ("<=", 60),
    "query90d_p95_ms": ("<=", 20),
    "query90d_flow_p95_ms": ("<=", 20),
    "nine_panels_ms": ("<=", 300),
    "derived_bytes_per_event": ("<=", 400),
    "asof_p95_ms": ("<=", 100),
}
# About 10,000 events each; 100 of them are two years of twenty services.
YEARS = Shape(changes=1840, span=timedelta(days=7, hours=7))
# Together 50,000 changes, 10,500 deployments and 1,000 incidents in 90 days.
QUARTER, QUARTER_BLOCKS = Shape(changes=2000, span=timedelta(days=3, hours=14)), 25
# Together 20,000 changes, 21,000 deployments and 2,000 incidents in half a year.
PANELS, PANELS_BLOCKS = Shape(changes=2000, changes_per_deployment=1, span=timedelta(days=18)), 10


EVENTS = 1_000_000
SIZED_BLOCKS = 5


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured; the blocks are of YEARS, QUARTER and PANELS."""

    years: int
    quarter: int
    panels: int
    rounds: int
    fresh_s: int
    repetitions: int


class Bench:
    """Each figure on a database of its own, in one PostgreSQL beside one NATS."""

    def __init__(self, nats_url: str, dsn: str, directory: Path, effort: Effort) -> None:
        self._nats_url = nats_url
        self._dsn = dsn
        self._directory = directory
        self._effort = effort
        self._environment = {"PATH": os.environ["PATH"], "EM_HOME": str(directory / "em")}
        self.figures: dict[str, float] = {}
        self.beside: dict[str, object] = {}

    async def run(self, only: str | None) -> None:
        """Whatever measures this figure, or all."""
        measures = {
            self._asked: ("query90d_p95_ms", "query90d_flow_p95_ms", "asof_p95_ms"),
            self._panels: ("nine_panels_ms",),
            self._sized: ("derived_bytes_per_event",),
            self._grown: ("rebuild_1m_s", "events_s", "cost_1m_vs_10k", "fresh_p50_ms", "fresh_p99_ms"),
        }
        for measure, figures in measures.items():
            if only in (None, *figures):
                await measure()

    async def _grown(self) -> None:
        await self._freshness(await self._consumed())

    async def _freshness(self, dsn: str) -> None:
        _tell(f"freshness: {self._effort.fresh_s} s at {freshness.RATE_PER_S} webhooks a second")
        await provisioned(self._nats_url, "em")
        found = await freshness.measure(
            self._nats_url, dsn, self._directory, self._environment, seconds=self._effort.fresh_s
        )
        self.figures |= {"fresh_p50_ms": percentile(found, 0.5), "fresh_p99_ms": percentile(found, 0.99)}

    async def _asked(self) -> None:
        dsn = await self._filled("quarter", QUARTER, self._effort.quarter)
        await filling.remember(dsn)
        now, often = datetime.now(UTC), self._effort.repetitions
        _tell("asking for 90 days")
        for paths, figure in ((asking.DORA, "query90d"), (asking.FLOW, "query90d_flow")):
            ask = partial(asking.quarter, paths=paths, now=now, repetitions=often)
            whole = await self._ask(dsn, partial(ask, whole=True))
            single = await self._ask(dsn, partial(ask, whole=False))
            self.figures[f"{figure}_p95_ms"] = _p95(whole)
            self.beside[f"{figure}_p95_ms_of_one_service"] = _p95(single)
            self.beside[f"{figure}_p50_ms_by_metric"] = _medians(whole)
            self.beside[f"{figure}_p50_ms_of_one_service_by_metric"] = _medians(single)
        _tell("asking for 90 days as they were known")
        then = await self._ask(dsn, lambda asker: asking.as_of(asker, now, repetitions=often))
        self.figures["asof_p95_ms"] = _p95(then)
        self.beside["asof_p50_ms_by_metric"] = _medians(then)

    async def _panels(self) -> None:
        dsn = await self._filled("panels", PANELS, self._effort.panels)
        _tell("nine panels")
        now = datetime.now(UTC)
        found = await self._ask(dsn, lambda asker: asking.panels(asker, now, repetitions=self._effort.repetitions))
        self.figures["nine_panels_ms"] = statistics.median(found)

    async def _sized(self) -> None:
        """Of a history that came batch by batch: with what was known before, and the room that updates leave.

        Vacuumed after each block, as autovacuum would in the week that it stands for.
        """
        _tell("derived state of a history that came as it happened")
        dsn = await filling.make_database(self._dsn, "sized")
        start, events = filling.started_at(YEARS, SIZED_BLOCKS), 0
        for block in range(SIZED_BLOCKS):
            told = YEARS.events(block, start)
            await filling.handle(dsn, told)
            events += len(told)
            async with filling.connected(dsn) as owner:
                await owner.execute("VACUUM ANALYZE")
        tables = await filling.derived_bytes(dsn)
        self.figures["derived_bytes_per_event"] = sum(tables.values()) / events
        self.beside["derived_bytes_per_event_by_table"] = {name: round(b / events, 1) for name, b in tables.items()}

    async def _consumed(self) -> str:
        """Cost per event of the same events on both histories, in rounds that interleave; the larger is returned."""
        blocks, events = self._effort.years, len(YEARS.events(0, datetime.now(UTC)))
        start = filling.started_at(YEARS, blocks)
        _tell(f"a history of {events} events")
        small = await filling.make_database(self._dsn, "small")
        await filling.handle(small, YEARS.events(0, start))
        grown = await self._filled("grown", YEARS, blocks)
        _tell("derived rebuild")
        self.figures["rebuild_1m_s"] = await filling.rebuild(grown)
        self.beside["stored"] = {"small": events, "grown": blocks * events}
        on_small: list[Consumed] = []
        on_grown: list[Consumed] = []
        for number in range(self._effort.rounds):
            _tell(f"consuming {events} events, round {number + 1}/{self._effort.rounds}")
            coming = YEARS.events(blocks + number, start)
            copied = await filling.make_database(self._dsn, "copied", template="small")
            on_small.append(await consuming.consume(self._nats_url, copied, coming, self._environment))
            await filling.drop_database(self._dsn, "copied")
            on_grown.append(await consuming.consume(self._nats_url, grown, coming, self._environment))
        self.figures["events_s"] = statistics.median(each.events_s for each in on_grown)
        self.figures["cost_1m_vs_10k"] = _cpu_us(on_grown) / _cpu_us(on_small)
        self.beside["consumed"] = {
            "small": [msgspec.to_builtins(each) for each in on_small],
            "grown": [msgspec.to_builtins(each) for each in on_grown],
        }
        return grown

    async def _filled(self, name: str, shape: Shape, blocks: int) -> str:
        events = shape.events(0, filling.started_at(shape, blocks))
        _tell(f"a history of {blocks * len(events)} events")
        dsn = await filling.make_database(self._dsn, name)
        await filling.handle(dsn, events)
        await filling.multiply(dsn, shape, blocks=blocks)
        await filling.rebuild(dsn)
        async with filling.connected(dsn) as owner:
            await owner.execute("VACUUM ANALYZE")
        return dsn

    async def _ask(self, dsn: str, ask: Callable[[Asker], T]) -> T:
        """Of metrics-svc as it ships."""
        [port] = free_ports(1)
        environment = {
            **self._environment,
            "NATS_URL": self._nats_url,
            "DATABASE_URL": dsn,
            f"{METRICS_SVC.variable}_PORT": str(port),
        }
        argv = [sys.executable, "-m", METRICS_SVC.name]
        with running(argv, environment, port=port, log=self._directory / "asked.log", pinned=False):
            asker = Asker(port)
            await asyncio.to_thread(asking.warmed, asker)
            found = await asyncio.to_thread(ask, asker)
            asker.close()
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--events", type=int, default=EVENTS, help="stored before the next ones come; fewer also shrink the rest"
    )
    parser.add_argument("--rounds", type=int, default=3, help="of consuming, on both histories")
    parser.add_argument("--seconds", type=int, default=20, help="of webhooks")
    parser.add_argument("--repetitions", type=int, default=20, help="of each question")
    parser.add_argument("--only", choices=BARS, help="a figure, and what is measured with it; the file is not written")
    options = parser.parse_args()
    BUILD.mkdir(exist_ok=True)
    machine.require_a_disk(BUILD)
    logs.configure(service="bench", version="0", log_format="text", level="error")
    share = options.events / EVENTS
    effort = Effort(
        years=_blocks(options.events / len(YEARS.events(0, datetime.now(UTC)))),
        quarter=_blocks(min(1, share) * QUARTER_BLOCKS),
        panels=_blocks(min(1, share) * PANELS_BLOCKS),
        rounds=options.rounds,
        fresh_s=options.seconds,
        repetitions=options.repetitions,
    )
    bench = asyncio.run(_measure(effort, options.only))
    figures = {name: round(found, 3) for name, found in bench.figures.items()}
    told = {"machine": machine.machine(), "versions": machine.versions(), "bars": BARS, **bench.beside}
    if options.only is None:
        (BUILD / "bench-metrics.json").write_text(json.dumps({**figures, **told}, indent=2) + "\n")
    for name in (name for name in BARS if name in figures):
        sign, bar = BARS[name]
        met = figures[name] >= bar if sign == ">=" else figures[name] <= bar
        print(f"{name:26}{figures[name]:>12}  bar {sign} {bar:<6} {'met' if met else 'MISSED'}")


def _blocks(wanted: float) -> int:
    return max(2, round(wanted))


async def _measure(effort: Effort, only: str | None) -> Bench:
    with tempfile.TemporaryDirectory(prefix="em-bench-", dir=BUILD) as name:
        directory = Path(name)
        directory.chmod(0o755)
        nats = NatsServer(directory / "nats")
        nats.program = replace(nats.program, env={"PATH": os.defpath})
        async with nats, PostgresServer(directory / "pg") as postgres:
            bench = Bench(nats.url, postgres.dsn, directory, effort)
            await bench.run(only)
    return bench


_STARTED = time.monotonic()


def _tell(what: str) -> None:
    print(f"  {time.monotonic() - _STARTED:5.0f} s  {what}", file=sys.stderr, flush=True)


def _p95(by_metric: dict[str, list[float]]) -> float:
    return percentile([took for each in by_metric.values() for took in each], 0.95)


def _medians(by_metric: dict[str, list[float]]) -> dict[str, float]:
    return {name: percentile(took, 0.5) for name, took in by_metric.items()}


def _cpu_us(rounds: Sequence[Consumed]) -> float:
    return statistics.median(each.cpu_us for each in rounds)


if __name__ == "__main__":
    main()
