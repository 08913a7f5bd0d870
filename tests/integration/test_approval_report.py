"""The weekly report of approvals: once over all replicas, over HTTP and from a shell, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from approvals_svc import summary_store
from approvals_svc.summary import Span
from approvals_svc.summing import Weekly
from shared.contracts.subjects import Subjects
from tests.deciding import Counter, open_counter

pytestmark = pytest.mark.asyncio

REPLICAS = 3
SLA = timedelta(hours=4)


@pytest.fixture
async def counter(database_url: str, tmp_path: Path) -> AsyncIterator[Counter]:
    async with open_counter(database_url, tmp_path) as opened:
        yield opened


async def tell(counter: Counter, now: datetime) -> list[Any]:
    weekly = Weekly(pool=counter.pool, desk=counter.desk, subjects=Subjects("t"), sla=SLA)
    async with counter.pool.acquire() as tx, tx.transaction():
        return list(await weekly.week_told(tx, now))


def next_monday() -> datetime:
    """In whose first hour the week of today has just ended."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today + timedelta(days=7 - today.weekday())


async def test_law_7_a_week_is_told_once_over_replicas(counter: Counter) -> None:
    decided, waiting = await counter.ask(), await counter.ask("production")
    await counter.vote(decided.id, "bo")
    monday = next_monday()

    early = await tell(counter, monday + timedelta(hours=5))
    told = await asyncio.gather(*(tell(counter, monday + timedelta(hours=6)) for _ in range(REPLICAS)))
    again = await tell(counter, monday + timedelta(days=2))

    assert (early, again) == ([], [])
    assert sorted(len(events) for events in told) == [0, 0, 1]
    [event] = [event for events in told for event in events]
    assert (event.team, event.week) == ("payments", (monday - timedelta(days=7)).date())
    assert (event.numbers.asked, event.numbers.decided, event.numbers.oldest) == (2, 1, waiting.id)
    assert [each.service for each in event.services] == ["checkout"]
    rows = await counter.fetch("SELECT subject FROM outbox WHERE subject LIKE '%summarized'")
    assert [row["subject"] for row in rows] == ["t.events.approval.summarized"]


async def test_what_ended_before_is_not_read_and_hidden_services_neither(counter: Counter) -> None:
    first, second = await counter.ask(), await counter.ask(service="search")
    await counter.vote(first.id, "bo")
    now = datetime.now(UTC) + timedelta(minutes=1)
    async with counter.pool.acquire() as tx:
        whole = await summary_store.rows(tx, Span(start=now - timedelta(days=1), end=now))
        later = await summary_store.rows(tx, Span(start=now, end=now + timedelta(days=1)))
        seen = await summary_store.rows(tx, Span(start=now - timedelta(days=1), end=now), hidden=("search",))

    assert sorted(row.id for row in whole) == [first.id, second.id]
    assert [row.id for row in later] == [second.id]
    assert [row.id for row in seen] == [first.id]
