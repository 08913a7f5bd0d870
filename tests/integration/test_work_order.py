"""Laws 3 and 4 for builds, tickets and reports of quality: any order, any repetition, two at once."""

import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from metrics_svc.facts import Fact
from metrics_svc.rebuild import PROJECTION
from metrics_svc.settings import Settings
from shared.contracts.events import TicketClosed, TicketCreated, TicketUpdated
from shared.contracts.services import METRICS_SVC
from shared.db import Pool
from shared.db.pool import open_pool
from tests.integration.test_metrics_svc_order import WORK, assert_order_free, in_the_same_moment
from tests.shipping import at
from tests.working import built, covered, done, gated, ticket, work

pytestmark = pytest.mark.asyncio


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


async def test_any_order_and_repetition_of_four_days_of_work_gives_the_same_tables(pool: Pool, scale: int) -> None:
    for seed in range(8 * scale):
        await assert_order_free(pool, work(), random.Random(seed))


async def test_any_order_and_repetition_of_tangled_work_gives_the_same_tables(pool: Pool, scale: int) -> None:
    for seed in range(80 * scale):
        chance = random.Random(seed)
        await assert_order_free(pool, tangle(chance), chance)


def tangle(chance: random.Random) -> list[Fact]:
    """Few builds and tickets, many reports of each, many at the same time."""

    def hour() -> float:
        return chance.randrange(12) / 2

    def builds(number: int) -> Iterator[Fact]:
        for _ in range(chance.randrange(1, 4)):
            outcome = chance.choice(("succeeded", "failed", "cancelled", "skipped", "unknown"))
            reports = built(number, hour(), outcome=outcome, branch=chance.choice(("main", "x")))
            yield from chance.sample(reports, chance.randrange(1, 3))

    def tickets(number: int) -> Iterator[Fact]:
        for kind in chance.choices((TicketCreated, TicketUpdated, TicketClosed), k=chance.randrange(1, 7)):
            fields: dict[str, Any] = {
                "status": chance.choice(("To Do", "In Progress", "Done", "")),
                "status_before": chance.choice(("To Do", "")),
                "title": chance.choice(("Slow", "Fast", "")),
                "project": chance.choice(("CHK", "OPS")),
                "opened_at": chance.choice((None, at(hour()))),
            }
            if kind is TicketUpdated:
                fields["state"] = chance.choice(("open", "closed", ""))
            if kind is TicketClosed:
                fields["reason"] = chance.choice(("", "deleted", "done"))
                fields["closed_at"] = chance.choice((None, at(hour())))
            yield ticket(kind, number, hour(), **fields)

    return [
        *(event for number in range(chance.randrange(4)) for event in builds(number)),
        *(event for number in range(chance.randrange(4)) for event in tickets(number)),
        *(covered(hour(), chance.choice((None, 50.0, 60.0))) for _ in range(chance.randrange(3))),
        *(gated(hour(), chance.choice(("passed", "failed"))) for _ in range(chance.randrange(3))),
    ]


async def test_every_table_of_work_is_rebuilt() -> None:
    assert {*WORK} <= {*PROJECTION}


async def test_two_transactions_that_each_tell_half_of_a_ticket_end_it(pool: Pool) -> None:
    for number in range(20):
        opened, started, closed = done(number, 1, 3, 9)
        await in_the_same_moment(pool, [[opened, started], [closed]])

    ends = "SELECT count(*) FROM ticket WHERE state = 'closed' AND started_at = $1 AND closed_at = $2"
    assert await pool.fetchval(ends, at(3), at(9)) == 20


async def test_two_transactions_that_tell_of_the_same_things_in_turns_do_not_block_each_other(pool: Pool) -> None:
    for seed in range(10):
        events = work()
        random.Random(seed).shuffle(events)
        await in_the_same_moment(pool, [events, events[::-1]])

    assert await pool.fetchval("SELECT count(*) FROM build") == 6
