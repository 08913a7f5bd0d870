"""The loop that posts each team's standup and sprint health when it is time, from whichever replica comes first."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from metrics_svc import bulletins, reporting
from metrics_svc.question import Question, by_team
from metrics_svc.schedule import Schedule
from metrics_svc.store import reading, told
from metrics_svc.window import Window, last_days
from shared.catalog import Catalog
from shared.contracts.envelope import event_message
from shared.contracts.events import Bulletin, Section
from shared.contracts.ids import step_of_entity
from shared.contracts.services import METRICS_SVC
from shared.contracts.subjects import Subjects
from shared.db import Connection, Pool, outbox
from shared.db.catalogs import CurrentCatalog
from shared.db.polling import look_every
from shared.telemetry import logs

log = logs.get(__name__)

LOOK_EVERY_S = 30.0
SPRINT_DAYS = 14
WORTH_TELLING = timedelta(hours=4)


class Schedules(msgspec.Struct, frozen=True, kw_only=True):
    """None: never. `zone` is that of the teams that have none of their own."""

    standup: Schedule | None
    sprint: Schedule | None
    zone: ZoneInfo


class Briefing:
    def __init__(self, pool: Pool, catalogs: CurrentCatalog, subjects: Subjects, schedules: Schedules) -> None:
        self._pool = pool
        self._catalogs = catalogs
        self._subjects = subjects
        self._schedules = schedules

    async def run(self, stop: asyncio.Event) -> None:
        await look_every(LOOK_EVERY_S, self.tell, stop, name="briefing")

    async def tell(self) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            now = await reading.now(connection)
            found = await briefed(connection, self._catalogs.catalog, self._schedules, now)
            await outbox.add(connection, [event_message(each, self._subjects) for each in found])
        if found:
            log.info("briefing.told", bulletins=len(found))


async def briefed(tx: Connection, catalog: Catalog, schedules: Schedules, now: datetime) -> list[Bulletin]:
    """What is due now and was not told before; a team of which there is nothing to say hears nothing."""
    found = []
    for about, schedule in (("standup", schedules.standup), ("sprint", schedules.sprint)):
        if schedule is None:
            continue
        for team in ("", *(each.name for each in catalog.teams)):
            day = schedule.due(now, _zone(catalog, team, schedules))
            if day is not None and await told.begin_day(tx, about, team, day):
                title, sections = await SAYING[about](tx, catalog, team, schedule.days_since_last(day), now)
                found += [_bulletin(about, team, day, title, sections, now)] if sections else []
    return found


def _zone(catalog: Catalog, team: str, schedules: Schedules) -> ZoneInfo:
    own = next((each.timezone for each in catalog.teams if each.name == team), "")
    return ZoneInfo(own) if own else schedules.zone


Said = tuple[str, tuple[Section, ...]]
Saying = Callable[[Connection, Catalog, str, int, datetime], Awaitable[Said]]


async def _standup(tx: Connection, catalog: Catalog, team: str, days: int, now: datetime) -> Said:
    """Since the standup before."""
    window = Window(now - timedelta(days=days), now)
    teams = await reporting.standups(tx, await _own(tx, catalog, team, window), catalog, now)
    title = f"Standup of {_whose(team)}: {bulletins.in_progress(teams)} changes in progress"
    return title, bulletins.of_standup(teams)


async def _sprint(tx: Connection, catalog: Catalog, team: str, _: int, now: datetime) -> Said:
    asked = await _own(tx, catalog, team, last_days(SPRINT_DAYS, now))
    sections = bulletins.of_sprint(await reporting.health(tx, asked, catalog, now))
    return f"Sprint health of {_whose(team)}, last {SPRINT_DAYS} days", sections


async def _own(tx: Connection, catalog: Catalog, team: str, window: Window) -> Mapping[str, Question]:
    asked = by_team(Question(services=await reading.services(tx, catalog), window=window), catalog)
    return {name: own for name, own in asked.items() if name == team}


SAYING: Mapping[str, Saying] = {"standup": _standup, "sprint": _sprint}


def _whose(team: str) -> str:
    return team or "services without a team"


def _bulletin(about: str, team: str, day: date, title: str, sections: tuple[Section, ...], now: datetime) -> Bulletin:
    bulletin = Bulletin(
        occurred_at=now, about=about, title=title, sections=sections, team=team, until=now + WORTH_TELLING
    )
    return bulletin.stamped(
        id=step_of_entity(service=METRICS_SVC.name, entity=f"{about}:{team}:{day}", revision=1, step="post"),
        source=METRICS_SVC.name,
        origin="live",
        received_at=now,
    )
