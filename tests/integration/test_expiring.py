"""A vote against the timer, within five milliseconds of the end, on replicas of their own."""

from contextlib import AsyncExitStack
from pathlib import Path

from tests.deciding import open_counter
from tests.expiring import CONFLICT, duels

DUELS = 100


async def test_vote_against_the_timer_has_one_winner_by_the_databases_clock(
    database_url: str, tmp_path: Path, scale: int
) -> None:
    async with AsyncExitStack() as stack:
        counters = [await stack.enter_async_context(open_counter(database_url, tmp_path)) for _ in range(3)]

        ended = await duels(counters, DUELS * scale, seed=1)

    assert ended[CONFLICT] == 0
    assert ended["approved"] and ended["expired"]
