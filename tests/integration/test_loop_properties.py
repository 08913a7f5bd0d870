"""The loop under whatever hypothesis thinks of: duplicates, any order, poison, and kill -9 between any two steps."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.bus.failpoints import POINTS
from tests.waiting import until
from tests.workbench import DURABLE, Workbench

EXAMPLES = 100 if os.environ.get("SCALE") == "full" else 5
PASSED_BY_ONCE = tuple(point for point in POINTS if point != "outbox.published")

_runs = count()

# Which incidents come in which order (one twice is a duplicate), which of them are poison, and who dies where.
arrivals = st.lists(st.integers(0, 15), min_size=1, max_size=30)
poisonous = st.sets(st.integers(0, 15), max_size=2)
crashes = st.lists(st.tuples(st.sampled_from(PASSED_BY_ONCE), st.integers(1, 4)), max_size=2)


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(order=arrivals, poison=poisonous, plan=crashes)
async def test_laws_3_and_4_effects_depend_on_the_set_of_messages_alone(
    bench: Workbench,
    tmp_path: Path,
    nats_url: str,
    database_url: str,
    order: Sequence[int],
    poison: set[int],
    plan: Sequence[tuple[str, int]],
) -> None:
    run = next(_runs)
    before = await bench.effects()
    dead_before = len(await bench.dead())
    for place, number in enumerate(order):
        await publish(bench, name(run, number, poison), message_id=f"{run}-{place}")

    for point, nth in plan:
        await consume(bench, tmp_path, nats_url, database_url, failpoint=f"{point}:kill:{nth}")
    await consume(bench, tmp_path, nats_url, database_url, failpoint="")

    good = sorted(name(run, number, poison) for number in {*order} - poison)
    assert [effect for effect in await bench.effects() if effect not in before] == good
    died = len(await bench.dead()) - dead_before
    assert died == sum(number in poison for number in order)  # each copy has a place of its own in the stream
    assert await bench.pool.fetchval("SELECT count(*) FROM attempt") == 0


def name(run: int, number: int, poison: set[int]) -> str:
    return f"{'raise' if number in poison else 'good'}-{run}-{number}"


async def publish(bench: Workbench, incident_id: str, *, message_id: str) -> None:
    """Under a message id of its own: the broker's duplicate window must not do the inbox's work."""
    message = bench.message(incident_id)
    await bench.bus.js.publish(message.subject, message.body, headers={**message.headers, "Nats-Msg-Id": message_id})


async def consume(bench: Workbench, tmp_path: Path, nats_url: str, database_url: str, *, failpoint: str) -> None:
    """A process until it died at its point, or has nothing left to do."""
    environment = {
        **os.environ,
        "NATS_URL": nats_url,
        "DATABASE_URL": database_url,
        "NATS_PREFIX": bench.bus.subjects.prefix,
        "FAILPOINT": failpoint,
    }
    with (tmp_path / "consumer.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "tests.poisoned"], env=environment, stderr=log, stdout=log)

    async def is_over() -> bool:
        return process.poll() is not None or await bench.is_idle()

    try:
        await until(is_over, timeout_s=60, what=f"{DURABLE.label} neither died nor finished")
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 15)
