"""`make bench-notifier`: what notifier promises, measured against the sandbox Slack, printed and written."""

import argparse
import asyncio
import json
import tempfile
from pathlib import Path

from em.embedded import embedded_nats, embedded_postgres
from shared.db.migrate import bootstrap, migrate
from shared.telemetry import logs
from tests.backends import TEMPLATE, database_of, execute
from tests.bench.machine import BUILD, machine, require_a_disk
from tests.bench.notifier import clicks, grouping, pacing, storms
from tests.fuzzing import fuzz

RESULT = BUILD / "bench-notifier.json"
BACKLOG = 10_000
PAYLOADS = 100_000
CLICKS = 200
BARS = {
    **dict.fromkeys(("lost_bot", "doubled_bot", "lost_webhook", "order_violations", "quota_over"), ("=", 0.0)),
    **dict.fromkeys(("fuzz_over_limit", "injected_mentions"), ("=", 0.0)),
    "drain_ratio": ("<=", 1.1),
    "http429_share": ("<=", 0.005),
    "urgent_p99_ms": ("<=", 2_000.0),
    "click_to_card_p99_ms": ("<=", 1_000.0),
    "grouped_posts": ("<=", 300.0),
    "ungrouped": ("=", 0.0),
    "updates_per_min": ("<=", 50.0),
    "updates_wrong_in_the_end": ("=", 0.0),
}


async def measure(backlog: int) -> dict[str, float]:
    """A backlog smaller than the issue's is quick: the storm and the changes of cards shrink with it."""
    with tempfile.TemporaryDirectory(prefix="em-bench-", dir=BUILD) as name:
        directory = Path(name).absolute()
        directory.chmod(0o755)
        async with embedded_postgres(directory / "pg") as postgres:
            await execute(postgres.dsn, f"CREATE DATABASE {TEMPLATE}")
            await bootstrap(database_of(postgres.dsn, TEMPLATE), progress=lambda _: None)
            await migrate(database_of(postgres.dsn, TEMPLATE), progress=lambda _: None)
            share = backlog / BACKLOG
            found = await pacing.drain(postgres.dsn, backlog=backlog)
            found |= await pacing.updates(postgres.dsn, changes=round(20 * share) or 1)
            found |= await pacing.quota(postgres.dsn)
            found |= await grouping.grouped(postgres.dsn, backlog=backlog)
            found |= await storms.measure(postgres.dsn, share=share)
            async with embedded_nats(directory / "nats") as nats:
                (own := directory / "clicks").mkdir()
                found |= await clicks.measure(nats.url, postgres.dsn, own, clicks=round(CLICKS * share) or 1)
    hostile = fuzz(round(PAYLOADS * share))
    return {**found, "fuzz_over_limit": hostile.over_limit, "injected_mentions": hostile.injected}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backlog", type=int, default=BACKLOG, help="messages that wait; fewer than 10,000 are quick")
    arguments = parser.parse_args()
    logs.configure(service="bench", version="0", log_format="text", level="error")
    BUILD.mkdir(exist_ok=True)
    require_a_disk(BUILD)
    known = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    found = {name: round(value, 4) for name, value in asyncio.run(measure(arguments.backlog)).items()}
    RESULT.write_text(
        json.dumps({**known, **found, "backlog": arguments.backlog, "machine": machine()}, indent=2) + "\n"
    )
    for name, value in found.items():
        print(f"{name:28}{value:>10g}  {_against_bar(name, value)}")


def _against_bar(name: str, value: float) -> str:
    if name not in BARS:
        return ""
    sign, bar = BARS[name]
    is_met = value == bar if sign == "=" else value <= bar
    return f"bar {sign} {bar:g} {'met' if is_met else 'MISSED'}"


if __name__ == "__main__":
    main()
