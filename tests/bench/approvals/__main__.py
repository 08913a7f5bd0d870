"""`make bench-approvals`: what approvals-svc promises, measured, printed and written to a file."""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

from em.embedded import embedded_nats, embedded_postgres
from shared.db.migrate import bootstrap, migrate
from shared.telemetry import logs
from tests.backends import TEMPLATE, database_of, execute
from tests.bench.approvals import precedents, races, sizes
from tests.bench.machine import BUILD, machine, require_a_disk

RESULT = BUILD / "bench-approvals.json"
SEEDS = 200
OUTAGE_S, QUICK_OUTAGE_S = 600.0, 20.0
BARS = {
    **dict.fromkeys(
        (
            *("double_terminal", "double_effect", "lost_votes", "quorum_errors"),
            *("sod_bypass", "forged_votes_counted", "timer_conflicts"),
        ),
        ("=", 0.0),
    ),
    "gate_effective_decisions": ("=", 1.0),
    "list100k_p95_ms": ("<=", 50.0),
    "audit100k_s": ("<=", 5.0),
    "sweep10k_s": ("<=", 10.0),
    "decisions_s": (">=", 200.0),
    "hnsw_recall10": (">=", 0.95),
    "nearest_p95_ms": ("<=", 30.0),
    "precision5_families": (">=", 0.8),
    "leaks": ("=", 0.0),
}


async def measure(seeds: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory(prefix="em-bench-", dir=BUILD) as name:
        directory = Path(name).absolute()
        directory.chmod(0o755)
        async with embedded_nats(directory / "nats") as nats, embedded_postgres(directory / "pg") as postgres:
            await _template(postgres.dsn)
            outage_s = OUTAGE_S if seeds >= SEEDS else QUICK_OUTAGE_S
            found = await sizes.measure(nats.url, postgres.dsn, directory)
            found |= await precedents.measure(postgres.dsn, directory / "precedents")
            return found | await races.measure(nats.url, postgres.dsn, directory, seeds=seeds, outage_s=outage_s)


async def _template(dsn: str) -> None:
    """What every database of a measurement is a copy of."""
    await execute(dsn, f"CREATE DATABASE {TEMPLATE}")
    await bootstrap(database_of(dsn, TEMPLATE), progress=lambda _: None)
    await migrate(database_of(dsn, TEMPLATE), progress=lambda _: None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="races of 1,000 votes; fewer than 200 are quick")
    arguments = parser.parse_args()
    logs.configure(service="bench", version="0", log_format="text", level="error")
    BUILD.mkdir(exist_ok=True)
    require_a_disk(BUILD)
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    found = {name: round(value, 3) for name, value in asyncio.run(measure(arguments.seeds)).items()}
    RESULT.write_text(json.dumps({**known, **found, "machine": machine()}, indent=2) + "\n")
    for name, value in found.items():
        print(f"{name:28}{value:>10g}  {_against_bar(name, value)}")


def _against_bar(name: str, value: float) -> str:
    if name not in BARS:
        return ""
    sign, bar = BARS[name]
    is_met = {"=": value == bar, "<=": value <= bar, ">=": value >= bar}[sign]
    return f"bar {sign} {bar:g} {'met' if is_met else 'MISSED'}"


if __name__ == "__main__":
    main()
