"""Votes and timers at the same moment: the database's clock decides, and only once."""

import asyncio
import random
import time
from collections import Counter as Tally
from collections.abc import Sequence
from datetime import datetime, timedelta

from approvals_svc import store
from approvals_svc.desk import Outcome
from tests.deciding import Counter

AHEAD = timedelta(milliseconds=60)  # of the end, when both get ready
SPREAD_S = 0.005
AT_ONCE = 10
CONFLICT = "conflict"


async def duels(counters: Sequence[Counter], number: int, *, seed: int) -> Tally[str]:
    """How they ended: `approved`, `expired`, or as a conflict, where the winner is not who came first."""
    chance = random.Random(seed)
    ended: Tally[str] = Tally()
    for first in range(0, number, AT_ONCE):
        at_once = min(AT_ONCE, number - first)
        ended.update(await asyncio.gather(*(_duel(counters, chance) for _ in range(at_once))))
    return ended


async def _duel(counters: Sequence[Counter], chance: random.Random) -> str:
    voting, timing = chance.sample(counters, 2)
    offset_s = chance.uniform(-SPREAD_S, SPREAD_S)
    approval = await voting.ask()
    ends_at, wait_s = await _ends_soon(voting, approval.id)
    outcome, _ = await asyncio.gather(_voted(voting, approval.id, wait_s + offset_s), _fired(timing, wait_s))
    while await _fire(timing):
        pass
    return await _how_it_ended(voting, approval.id, ends_at, outcome)


async def _ends_soon(counter: Counter, number: int) -> tuple[datetime, float]:
    """When, by the database's clock, and how long that is from now."""
    asked_at = time.monotonic()
    async with counter.pool.acquire() as tx, tx.transaction():
        now = await store.clock(tx)
        ends_at = now + AHEAD
        await tx.execute("UPDATE approval SET expires_at = $2 WHERE id = $1", number, ends_at)
        await tx.execute("UPDATE deadline SET due_at = $2 WHERE approval_id = $1 AND kind = 'expire'", number, ends_at)
    return ends_at, AHEAD.total_seconds() - (time.monotonic() - asked_at)


async def _voted(counter: Counter, number: int, wait_s: float) -> Outcome:
    await asyncio.sleep(max(0, wait_s))
    return await counter.vote(number, "bo")


async def _fired(counter: Counter, wait_s: float) -> None:
    await asyncio.sleep(max(0, wait_s))
    for _ in range(3):
        await _fire(counter)


async def _fire(counter: Counter) -> int:
    async with counter.pool.acquire() as tx, tx.transaction():
        return await counter.desk.fire_due(tx, limit=AT_ONCE)


async def _how_it_ended(counter: Counter, number: int, ends_at: datetime, outcome: Outcome) -> str:
    [row] = await counter.fetch(
        """
        SELECT decision, decided_at, (SELECT count(*) FROM vote WHERE approval_id = $1) AS votes,
               (SELECT count(*) FROM effect WHERE approval_id = $1 AND effect_kind = 'github_gate') AS effects,
               (SELECT count(*) FROM audit WHERE approval_id = $1 AND verb = 'decided') AS decisions
        FROM approval WHERE id = $1
        """,
        number,
    )
    in_time = row["decided_at"] < ends_at
    expected = ("approved", 1) if in_time else ("expired", 0)
    is_consistent = (
        (row["decision"], row["votes"]) == expected
        and (row["effects"], row["decisions"]) == (1, 1)
        and outcome.is_counted == in_time
    )
    return str(row["decision"]) if is_consistent else CONFLICT
