"""`make bench`: ratios within one run (machines are noisy), printed and written to build/bench.json."""

import argparse
import asyncio
import json
import sys
from typing import Any

from tests.bench import consumers, end_to_end, hot_path, ladder, machine, poison
from tests.bench.machine import BUILD

POISONED_S = 20
BARS = {
    "durable_c128_vs_go": (">=", 1.8),
    "durable_c128_p99_vs_go": ("<=", 0.6),
    "durable_c32_vs_go": (">=", 1.0),
    "durable_c128_vs_go_batched": (">=", 0.5),
    "slow_disk_c128_vs_go": (">=", 1.8),
    "slow_disk_c128_p99_vs_go": ("<=", 0.6),
    "slow_disk_c32_vs_go": (">=", 1.0),
    "slow_disk_c128_vs_go_batched": (">=", 0.5),
    "default_cpu_vs_go": (">=", 0.65),
    "cpu_vs_naive_fastapi": (">=", 2.5),
    "production_vs_bare": ("<=", 1.35),
    "normalizer_vs_copy": (">=", 0.8),
    "normalizer_vs_single_insert": (">=", 4.0),
    "metrics_vs_copy": (">=", 0.8),
    "history_1m_vs_empty": (">=", 0.85),
    "committed_p50_ms": ("<=", 25),
    "committed_p99_ms": ("<=", 100),
    "scale_out_per_cpu_s": (">=", 0.85),
    "poison_p99": ("<=", 2.0),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5, help="of load per rung and round")
    parser.add_argument("--deliveries", type=int, default=10_000, help="per round of a consumer")
    options = parser.parse_args()
    BUILD.mkdir(exist_ok=True)
    machine.require_a_disk(BUILD)
    rows = asyncio.run(ladder.measure(rounds=options.rounds, seconds=options.seconds))
    rows += asyncio.run(consumers.measure(rounds=options.rounds, deliveries=options.deliveries))
    rows += asyncio.run(end_to_end.measure(rounds=options.rounds, seconds=2 * options.seconds))
    rows += asyncio.run(poison.measure(rounds=options.rounds, seconds=POISONED_S))
    by_name: dict[str, Any] = {str(row["name"]): row for row in rows}
    ratios = {**ladder.ratios(by_name), **_consumer_ratios(by_name)}
    result = {"machine": machine.machine(), "versions": machine.versions(), "rows": rows, "ratios": ratios}
    (BUILD / "bench.json").write_text(json.dumps({**result, "hot_path": hot_path.measure()}, indent=2) + "\n")
    _show(rows, ratios)


def _consumer_ratios(rows: dict[str, Any]) -> dict[str, float]:
    def ratio(one: str, other: str) -> float:
        return round(float(rows[f"consumer_{one}"]["req_s"] / rows[f"consumer_{other}"]["req_s"]), 3)

    return {
        "normalizer_vs_copy": ratio("normalizer", "copy"),
        "normalizer_vs_single_insert": ratio("normalizer", "single_insert"),
        "metrics_vs_copy": ratio("metrics", "metrics_copy"),
        "history_1m_vs_empty": ratio("normalizer_1m", "normalizer"),
        "committed_p50_ms": rows["end_to_end_committed"]["p50_ms"],
        "committed_p99_ms": rows["end_to_end_committed"]["p99_ms"],
        "scale_out_per_cpu_s": round(rows["consumer_metrics"]["cpu_us"] / rows["consumer_metrics_4"]["cpu_us"], 3),
        "poison_p99": round(rows["consumer_with_poison"]["p99_ms"] / rows["consumer_without_poison"]["p99_ms"], 3),
    }


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
