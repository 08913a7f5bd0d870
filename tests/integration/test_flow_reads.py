"""Law 8 of reading: what a window of the past costs does not grow with what was before it, nor with what came after."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from asyncpg.connection import LoggedQuery

from metrics_svc.flow.row import FlowRow
from metrics_svc.flow_table import flow_metrics
from metrics_svc.question import Question
from metrics_svc.settings import Settings
from metrics_svc.store import reviewed
from metrics_svc.store.paging import Wanted
from metrics_svc.window import Window
from shared.contracts.services import METRICS_SVC
from shared.db import Connection
from shared.db.pool import open_pool
from tests.shipping import CATALOG, at

pytestmark = pytest.mark.asyncio

FLOW = flow_metrics(people=False)
WEEK = Question(services=("checkout",), window=Window(at(0), at(7 * 24)))
# A change is ready 4 hours after it was opened, reviewed after 8, approved after 12 and merged after a day; one in 50
# takes 50 days, of every other one of which nobody told when it was opened.
CHANGES = """
INSERT INTO {table} ({columns})
SELECT {values} FROM (
    SELECT n, opened, CASE WHEN n % 50 = 0 THEN interval '50 days' ELSE interval '1 day' END AS took
    FROM (SELECT n, $3::timestamptz + n * interval '1 hour' AS opened FROM generate_series($1::int, $2::int) AS n) AS of
) AS told
"""
FILLED = {
    "change_flow": {
        "change": "'github:acme/checkout:' || n",
        "service": "'checkout'",
        "repository": "'acme/checkout'",
        "author_class": "'human'",
        "evidence": "'{}'",
        "opened_at": "CASE WHEN n % 100 <> 0 THEN opened END",
        "ready_at": "opened + interval '4 hours'",
        "first_review_at": "opened + interval '8 hours'",
        "approved_at": "opened + interval '12 hours'",
        "last_activity_at": "opened + interval '12 hours'",
        "merged_at": "opened + took",
        "ended_at": "opened + took",
        "review_rounds": "0",
        "size": "'S'",
        "lines": "50",
        "ticket": "''",
    },
    "change": {
        "id": "'github:acme/checkout:' || n",
        "repository": "'acme/checkout'",
        "number": "abs(n)",
        **dict.fromkeys(("title", "state", "base_ref", "head_ref", "head_sha", "url", "version"), "''"),
        **{"source": "'github'", "author": "'ana'", "author_kind": "'human'", "draft": "false", "labels": "'{}'"},
        "delivery": "'d' || n",
    },
    "review": {
        "change": "'github:acme/checkout:' || n",
        "id": "'r' || n",
        "author": "'ben'",
        "author_kind": "'human'",
        "state": "'approved'",
        "occurred_at": "opened + interval '12 hours'",
        **{"source": "'github'", "delivery": "'r' || n", "version": "''"},
    },
}


@pytest.fixture
async def tx(database_url: str) -> AsyncIterator[Connection]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as pool, pool.acquire() as tx:
        undone = tx.transaction()
        await undone.start()
        yield tx
        await undone.rollback()


async def fill(tx: Connection, first: int, last: int) -> None:
    """One change an hour."""
    for table, told in FILLED.items():
        columns, values = ", ".join(told), ", ".join(told.values())
        await tx.execute(CHANGES.format(table=table, columns=columns, values=values), first, last, at(0))
        await tx.execute(f"ANALYZE {table}")
    days = await tx.fetch("SELECT DISTINCT (occurred_at AT TIME ZONE 'UTC')::date AS day FROM review")
    await reviewed.refresh(tx, [("checkout", "acme/checkout", row["day"]) for row in days])


async def measured(tx: Connection, metric: str) -> FlowRow:
    return (await FLOW[metric].measure(tx, WEEK, CATALOG, at(9_000)))[0]


async def told(tx: Connection, metric: str) -> None:
    await measured(tx, metric)
    await FLOW[metric].items(tx, WEEK, CATALOG, at(9_000), Wanted(limit=100))


async def buffers(tx: Connection, metric: str) -> int:
    """Pages that the statements of a number and of the first of its items read."""
    await told(tx, metric)  # asyncpg asks for types at first
    asked: list[LoggedQuery] = []
    with tx.query_logger(asked.append):
        await told(tx, metric)
        await asyncio.sleep(0)  # it is told after the statement
    return sum([await _buffers(tx, each) for each in asked])


async def _buffers(tx: Connection, asked: LoggedQuery) -> int:
    told = await tx.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {asked.query}", *asked.args)
    [plan] = msgspec.json.decode(told)
    return int(plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"])


async def test_a_past_window_costs_the_same_however_much_was_before_and_came_after(tx: Connection) -> None:
    await fill(tx, -1_000, 2_000)
    few = {metric: await buffers(tx, metric) for metric in FLOW}
    await fill(tx, -8_000, -1_001)
    await fill(tx, 2_001, 9_000)
    many = {metric: await buffers(tx, metric) for metric in FLOW}

    assert {metric: n for metric, n in many.items() if n > 1.3 * few[metric] + 20} == {}


async def test_what_was_open_for_long_is_in_the_numbers_of_a_past_window(tx: Connection) -> None:
    await fill(tx, -8_000, 9_000)

    found = {metric: (await measured(tx, metric)).n for metric in ("wip", "pickup_time", "review_time", "review_load")}

    assert found == {"wip": 43, "pickup_time": 168, "review_time": 168, "review_load": 168}  # 20 of a day, 23 of 50
