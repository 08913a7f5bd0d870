"""What is told of a week when it has ended, and why a median moved, on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest

from metrics_svc import api
from metrics_svc.facts import Fact
from metrics_svc.settings import Settings
from metrics_svc.telling import week_told
from shared.catalog import Catalog, Team, Tenure
from shared.contracts.events import Event, MetricShifted, MetricSummarized
from shared.contracts.services import METRICS_SVC
from shared.db import Pool
from shared.db.catalogs import Pinned
from shared.db.pool import open_pool
from tests.shipping import CATALOG, HOUR, START, at, deployed, hand_over, merged, of_checkout, reviewed

pytestmark = pytest.mark.asyncio

WEEK_H = 7 * 24
MONDAY = START + timedelta(weeks=16)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        yield opened


def shipped(number: int, hours: float, *, pickup: float) -> list[Fact]:
    """First commit, an hour of coding, review after `pickup` hours and at once approved, merged and deployed."""
    branch = f"feature/{number}"
    ready = hours + 0.3  # as in `merged`
    return [
        *merged(number, branch, ready + pickup, authored=[hours]),
        reviewed(number, branch, ready + pickup),
        *deployed(number, f"m{number}", ready + pickup + 0.2),
    ]


def sixteen_weeks() -> list[Fact]:
    """Three changes a week; in the last three weeks reviews begin after eight hours instead of two."""
    return [
        event
        for week in range(16)
        for day in range(3)
        for event in shipped(week * 3 + day, week * WEEK_H + 24 * day + 9, pickup=2 if week < 13 else 8)
    ]


async def tell(pool: Pool, at_hour: float = 6, catalog: Catalog = CATALOG) -> list[Event]:
    async with pool.acquire() as tx, tx.transaction():
        return await week_told(tx, catalog, MONDAY + timedelta(hours=at_hour))


async def test_a_week_is_told_once_when_late_webhooks_are_in(pool: Pool) -> None:
    await hand_over(pool, sixteen_weeks())

    assert await tell(pool, at_hour=5.9) == []
    told = await asyncio.gather(*(tell(pool) for _ in range(4)))
    again = await tell(pool, at_hour=24)

    assert sorted(len(events) for events in told) == [0, 0, 0, 2]
    assert again == []
    summary, shift = next(events for events in told if events)
    assert isinstance(summary, MetricSummarized)
    assert isinstance(shift, MetricShifted)
    assert (shift.service, shift.team, shift.metric) == ("checkout", "payments", "change_lead_time")
    assert shift.since == (START + timedelta(weeks=13)).date()
    assert [shift.before, shift.after] == pytest.approx([2.5 * HOUR, 8.5 * HOUR])
    assert (summary.team, summary.week) == ("payments", (START + timedelta(weeks=15)).date())
    numbers = {each.metric: each for each in summary.numbers}
    assert (numbers["deployment_frequency"].n, numbers["deployment_frequency"].before_n) == (3, 3)
    assert numbers["change_lead_time"].value == pytest.approx(8.5 * HOUR)
    assert [each.service for each in summary.services] == ["checkout"]
    assert summary.services[0].numbers == summary.numbers
    assert sum(each.after_s - each.before_s for each in summary.because) == pytest.approx(0)


async def test_a_level_is_told_once_and_the_next_one_from_there(pool: Pool) -> None:
    await hand_over(pool, sixteen_weeks())
    first = await tell(pool)
    await hand_over(pool, [event for day in range(3) for event in shipped(100 + day, 16 * WEEK_H + 24 * day, pickup=8)])

    second = await tell(pool, at_hour=WEEK_H + 6)

    assert [type(event) for event in first] == [MetricSummarized, MetricShifted]
    assert [type(event) for event in second] == [MetricSummarized]


async def test_a_week_is_told_to_each_team_that_had_the_service_in_it(pool: Pool) -> None:
    until = START + timedelta(weeks=15, days=2)
    checkout = of_checkout(earlier_teams=(Tenure(team="books", until=until.date()),))
    catalog = msgspec.structs.replace(checkout, teams=(*CATALOG.teams, Team(name="books")))
    await hand_over(pool, sixteen_weeks(), catalog)

    *summaries, shift = await tell(pool, catalog=catalog)

    told = {each.team: each for each in summaries if isinstance(each, MetricSummarized)}
    numbers = {team: {n.metric: (n.before_n, n.n) for n in each.numbers} for team, each in told.items()}
    assert {team: each["change_lead_time"] for team, each in numbers.items()} == {"books": (3, 2), "payments": (0, 1)}
    assert [each.service for each in told["books"].services] == ["checkout"]
    assert (bool(told["books"].because), bool(told["payments"].because)) == (True, False)
    assert isinstance(shift, MetricShifted)
    assert shift.team == "payments"


async def test_of_a_quiet_week_nothing_is_told(pool: Pool) -> None:
    assert await tell(pool) == []
    await hand_over(pool, shipped(1, 0, pickup=1))  # fifteen weeks ago
    assert await tell(pool, at_hour=WEEK_H + 6) == []


# ---- why a median moved -------------------------------------------------------------------------------------------


async def explained(pool: Pool, **query: str) -> httpx.Response:
    app = api.build(Settings(), Pinned(CATALOG), pool, checks={})
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://metrics") as http:
        return await http.get("/v1/dora/explain", params=query)


async def test_contributions_of_stages_sum_to_the_difference_of_the_medians(pool: Pool) -> None:
    await hand_over(pool, sixteen_weeks())
    window = {"from": at(13 * WEEK_H).isoformat(), "to": at(16 * WEEK_H).isoformat()}

    answer = (await explained(pool, **window)).json()

    rows: dict[str, Any] = {row["stage"]: row for row in answer["rows"]}
    whole = rows.pop("change_lead_time")
    assert (whole["before_s"], whole["after_s"]) == pytest.approx((2.5 * HOUR, 8.5 * HOUR))
    assert (whole["before_n"], whole["after_n"]) == (9, 9)
    assert sum(row["change_s"] for row in rows.values()) == pytest.approx(whole["change_s"])
    assert rows["pickup"]["change_s"] == pytest.approx(6 * HOUR)
    assert max(abs(row["change_s"]) for stage, row in rows.items() if stage != "pickup") < 60
    assert answer["before_to"] == answer["from"]


async def test_a_window_without_changes_has_no_median_and_nothing_is_explained(pool: Pool) -> None:
    await hand_over(pool, shipped(1, 0, pickup=1))

    rows = (await explained(pool, **{"from": at(0).isoformat(), "to": at(24).isoformat()})).json()["rows"]

    assert [(row["stage"], row["before_s"], row["before_n"]) for row in rows] == [("change_lead_time", None, 0)]
    assert rows[0]["change_s"] is None


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"before_from": "2026-03-05", "before_to": "2026-03-04"}, "before_from"),
        ({"before_from": "yesterday"}, "before_from"),
        ({"bucket": "day"}, "bucket"),
        ({"agg": "p90"}, "agg"),
        ({"definition": "middleware"}, "definition"),
        ({"from": "0001-01-01", "to": "0001-01-03"}, "to"),
    ],
)
async def test_what_cannot_be_explained_is_refused_by_name(pool: Pool, query: dict[str, str], name: str) -> None:
    answer = await explained(pool, **query)

    assert answer.status_code == 400
    assert answer.json()["parameter"] == name
