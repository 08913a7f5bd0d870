"""Lists by schedule: one message per team and day, by whichever replica comes first, none about nothing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest

from metrics_svc import weeks
from metrics_svc.briefing import Schedules, briefed
from metrics_svc.schedule import Schedule
from metrics_svc.settings import Settings
from shared.catalog import Catalog, Service, Team, Thresholds
from shared.contracts.events import Bulletin, Compared, MetricShifted, MetricSummarized, StageChange
from shared.contracts.services import METRICS_SVC
from shared.db import Pool
from shared.db.pool import open_pool
from tests.reviewing import proposed
from tests.shipping import CATALOG, at, hand_over, of_checkout, shifted

pytestmark = pytest.mark.asyncio

EVERY_DAY = frozenset(range(7))
TEAMS = msgspec.structs.replace(
    CATALOG,
    teams=(Team(name="payments"), Team(name="books"), Team(name="far", timezone="Pacific/Auckland")),
    services=(
        msgspec.structs.replace(of_checkout().services[0], team="payments"),
        Service(name="ledger", team="books"),
    ),
    thresholds=Thresholds(stale_change_h=40, unreviewed_h=12),
)
NOW = datetime.now(UTC)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Thirty changes that nobody has touched for days."""
    waiting = [event for number in range(1, 31) for event in proposed(number, 4 + number / 10, authored=4)]
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as opened:
        await hand_over(opened, shifted(waiting, NOW - at(96)))
        yield opened


def schedules(*, sprint: bool = False, zone: str = "UTC") -> Schedules:
    due = Schedule(EVERY_DAY, NOW.astimezone(ZoneInfo(zone)).replace(second=0, microsecond=0).time())
    return Schedules(standup=None if sprint else due, sprint=due if sprint else None, zone=ZoneInfo(zone))


async def told(pool: Pool, asked: Schedules, catalog: Catalog = TEAMS, now: datetime = NOW) -> list[Bulletin]:
    async with pool.acquire() as tx, tx.transaction():
        return await briefed(tx, catalog, asked, now)


async def test_thirty_waiting_changes_are_one_message_for_their_team_once_a_day(pool: Pool) -> None:
    looks = await asyncio.gather(*(told(pool, schedules()) for _ in range(3)))
    tomorrow = await told(pool, schedules(), now=NOW + timedelta(days=1))

    [standup] = [bulletin for look in looks for bulletin in look]
    assert (standup.team, standup.about, standup.user, standup.origin) == ("payments", "standup", "", "live")
    assert standup.title == "Standup of payments: 30 changes in progress"
    assert {section.title: section.n for section in standup.sections} == {
        "Waiting for a review": 30,
        "Untouched for long": 30,
    }
    assert standup.until == NOW + timedelta(hours=4)
    assert [bulletin.team for bulletin in tomorrow] == ["payments"] and tomorrow[0].id != standup.id


async def test_a_team_has_mornings_of_its_own(pool: Pool) -> None:
    """`far` has no service, so its day is only noted: when it is nine there, it is not nine here."""
    await told(pool, schedules(zone="Pacific/Auckland"))

    days = {row["team"] for row in await pool.fetch("SELECT team FROM told_day")}
    assert days == {"", "payments", "books", "far"}
    await pool.execute("DELETE FROM told_day")
    await told(pool, schedules())
    assert {row["team"] for row in await pool.fetch("SELECT team FROM told_day")} == {"", "payments", "books"}


async def test_sprint_health_is_told_to_each_team_that_has_services(pool: Pool) -> None:
    found = await told(pool, schedules(sprint=True))

    assert {bulletin.title for bulletin in found} == {
        "Sprint health of payments, last 14 days",
        "Sprint health of books, last 14 days",
    }


async def test_nothing_is_told_before_its_time_or_without_a_schedule(pool: Pool) -> None:
    assert await told(pool, schedules(), now=NOW - timedelta(minutes=2)) == []
    assert await told(pool, Schedules(standup=None, sprint=None, zone=ZoneInfo("UTC"))) == []


async def test_a_week_is_shown_with_what_changed_and_why() -> None:
    lead = Compared(metric="change_lead_time", unit="seconds", value=7_200.0, n=6, before=3_600.0, before_n=4)
    week = MetricSummarized(
        occurred_at=NOW,
        team="payments",
        week=NOW.date(),
        numbers=(lead,),
        services=(),
        because=(StageChange(stage="waiting_for_review", before_s=600.0, after_s=4_200.0),),
    )
    level = MetricShifted(
        occurred_at=NOW,
        service="checkout",
        team="payments",
        metric="change_fail_rate",
        unit="ratio",
        since=NOW.date(),
        before=0.1,
        after=0.3,
    )
    elsewhere = msgspec.structs.replace(level, team="books")

    [bulletin] = weeks.bulletins_of([week, level, elsewhere], NOW)

    said = {
        section.title: [f"{item.subject}: {item.detail}" for item in section.items] for section in bulletin.sections
    }
    assert said == {
        "Delivery": ["Change lead time: 2 h (before: 1 h)"],
        "Why lead time changed": ["Waiting for review: 10 min → 1 h 10 min"],
        "Another level since": [f"checkout: Change fail rate: 10% → 30%, since the week of {NOW.date()}"],
    }
    assert (bulletin.title, bulletin.team) == (f"Delivery of payments, week of {NOW.date()}", "payments")
