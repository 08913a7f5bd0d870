"""Metrics of approvals equal the tables, whichever replica counts: every row once, and nothing that rolled back."""

import asyncio
import random
from collections import Counter as Count
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from approvals_svc import audit_store
from approvals_svc.decision import Verb
from approvals_svc.tallies import Tallies
from approvals_svc.tasks import GithubGate
from tests.deciding import Counter, actor, open_counter

REPLICAS = 3
VERBS: tuple[Verb, ...] = ("approve", "approve", "approve", "reject")


class Readings:
    """What the counters grew by since this began: the registry is one for all tests."""

    def __init__(self) -> None:
        self._before = _samples()

    def of(self, name: str) -> dict[tuple[str, ...], float]:
        """By the values of the labels."""
        grown = {key: value - self._before.get(key, 0) for key, value in _samples().items()}
        return {labels: value for (each, labels), value in grown.items() if each == name and value}


def _samples() -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name.startswith("approvals_")
    }


@pytest.fixture
async def counter(database_url: str, tmp_path: Path) -> AsyncIterator[Counter]:
    async with open_counter(database_url, tmp_path) as opened:
        yield opened


@pytest.fixture
def replicas(counter: Counter) -> list[Tallies]:
    return [Tallies(pool=counter.pool, sla=timedelta(hours=4)) for _ in range(REPLICAS)]


async def _counted(replicas: list[Tallies]) -> None:
    for _ in range(3):  # what one replica holds, the others skip until they look again
        await asyncio.gather(*(replica.count_some() for replica in replicas))


async def test_counters_equal_the_tables_after_votes_at_once(
    counter: Counter, replicas: list[Tallies], scale: int
) -> None:
    readings, chance = Readings(), random.Random(7)
    numbers = [(await counter.ask(chance.choice(("production", "staging")))).id for _ in range(40 * scale)]
    votes = [(number, person) for number in numbers for person in ("ana", "bo", "bo", "cy")]

    for number, person in votes:
        await asyncio.gather(counter.vote(number, person, chance.choice(VERBS)), replicas[0].count_some())
    await _revoked(counter, chance)
    await _effects_end(counter, chance)
    await _counted(replicas)

    decided = await counter.fetch(
        "SELECT decision, count(*) AS n, sum(extract(epoch FROM decided_at - created_at))::float8 AS seconds"
        " FROM approval WHERE decision <> '' GROUP BY decision"
    )
    assert readings.of("approvals_decisions_total") == {(row["decision"],): row["n"] for row in decided}
    assert readings.of("approvals_latency_seconds_count")[()] == sum(row["n"] for row in decided)
    assert readings.of("approvals_latency_seconds_sum")[()] == pytest.approx(sum(row["seconds"] for row in decided))
    refused = await counter.fetch("SELECT detail ->> 'refusal' AS reason FROM audit WHERE verb = 'refused'")
    assert readings.of("approvals_conflicts_total") == Count((row["reason"],) for row in refused)
    changed = await counter.fetch("SELECT detail ->> 'replaced' AS before, verb FROM audit WHERE detail ? 'replaced'")
    revoked = await counter.fetch("SELECT before, verb FROM audit WHERE verb = 'revoked'")
    overridden = Count((row["before"], row["verb"]) for row in (*changed, *revoked))
    assert readings.of("approvals_override_total") == overridden
    effects = await counter.fetch("SELECT effect_kind, state, attempts FROM effect")
    done, dead = (sum(row["state"] == state for row in effects) for state in ("done", "dead"))
    tries = sum(row["attempts"] for row in effects)
    assert readings.of("approvals_effects_total") == {
        ("github_gate", "confirmed"): done,
        ("github_gate", "givenup"): dead,
        ("github_gate", "unknown"): tries - done - dead,
    }
    assert readings.of("approvals_gate_callback_seconds_count") == {(): done}
    assert done and dead and refused and changed and revoked


async def _revoked(counter: Counter, chance: random.Random) -> None:
    """Half of what was approved, each twice: the second comes too late."""
    for row in await counter.fetch("SELECT id FROM approval WHERE status = 'approved' ORDER BY id"):
        for _ in range(chance.choice((0, 2))):
            async with counter.pool.acquire() as tx, tx.transaction():
                await counter.desk.revoke(tx, row["id"], actor("bo"), by_right=False)


async def _effects_end(counter: Counter, chance: random.Random) -> None:
    """Some at the first try, some later, some never: as `approvals_svc.effects` stores it."""
    while True:
        async with counter.pool.acquire() as tx, tx.transaction():
            due = await counter.desk.claim_effects(tx, kinds=[GithubGate.kind], limit=10, lease_s=60)
        for effect in due:
            async with counter.pool.acquire() as tx, tx.transaction():
                match chance.choice(("done", "dead", "again", "again")):
                    case "again":
                        assert await counter.desk.postpone(tx, effect, after_s=0, reason="no answer")
                    case outcome:
                        assert await counter.desk.close(tx, effect, failure="404" if outcome == "dead" else "")
        if not due:
            return


async def test_latency_is_told_apart_up_to_seven_days(counter: Counter, replicas: list[Tallies]) -> None:
    readings = Readings()
    for age in ("20 hours", "6 days", "8 days"):
        approval = await counter.ask()
        await counter.pool.execute(
            "UPDATE approval SET created_at = created_at - $2::text::interval WHERE id = $1", approval.id, age
        )
        await counter.vote(approval.id, "bo")

    await _counted(replicas)

    buckets = readings.of("approvals_latency_seconds_bucket")
    assert [buckets.get((f"{hours * 3600:.1f}",), 0) for hours in (8, 24, 72, 168)] == [0, 1, 1, 2]
    assert buckets["+Inf",] == 3


async def test_decision_that_rolled_back_is_not_counted(counter: Counter, replicas: list[Tallies]) -> None:
    approval = await counter.ask()
    await _counted(replicas)
    readings = Readings()

    async with counter.pool.acquire() as tx:
        undone = tx.transaction()
        await undone.start()
        found = await counter.desk.vote(tx, counter.ballot(approval.id, "bo"))
        await undone.rollback()
    await _counted(replicas)

    assert found.result == "counted"
    assert readings.of("approvals_decisions_total") == {}


async def test_row_that_is_being_decided_while_others_are_counted_is_counted_after(
    counter: Counter, replicas: list[Tallies]
) -> None:
    readings, approval = Readings(), await counter.ask()

    async with counter.pool.acquire() as tx, tx.transaction():
        await counter.desk.vote(tx, counter.ballot(approval.id, "bo"))
        await _counted(replicas)
    uncommitted = readings.of("approvals_decisions_total")
    await _counted(replicas)

    assert uncommitted == {}
    assert readings.of("approvals_decisions_total") == {("approved",): 1}


async def test_gauges_tell_who_waits_how_long(counter: Counter, replicas: list[Tallies]) -> None:
    ages = ("1 minute", "20 minutes", "3 hours", "5 hours", "2 days", "8 days", "9 days")
    for age in ages:
        approval = await counter.ask()
        await counter.fetch(f"UPDATE approval SET created_at = now() - interval '{age}' WHERE id = $1", approval.id)
    await counter.vote((await counter.ask()).id, "bo")

    await replicas[0].measure()

    samples = _samples()
    waiting = {labels: value for (name, labels), value in samples.items() if name == "approvals_pending"}
    assert waiting == {
        **dict.fromkeys([("0-15m",), ("15m-1h",), ("1h-4h",), ("4h-1d",), ("1d-7d",)], 1),
        ("7d-",): 2,
    }
    assert samples["approvals_oldest_pending_seconds", ()] == pytest.approx(9 * 86_400, abs=60)
    assert samples["approvals_sla_breached", ()] == 4


async def test_failed_check_of_the_audit_is_counted_once(counter: Counter, replicas: list[Tallies]) -> None:
    readings = Readings()
    async with counter.pool.acquire() as tx:
        await audit_store.note_check(tx, rows=10, problem="")
        await audit_store.note_check(tx, rows=3, problem="approval #1, row 3 is not as it was written")

    await _counted(replicas)

    assert readings.of("approvals_audit_verify_failures_total") == {(): 1}
