"""The loop that tells of each week once, after it ended, from whichever replica comes first."""

import asyncio
from datetime import UTC, datetime
from functools import partial

from metrics_svc import dora, weeks
from metrics_svc.question import by_team
from metrics_svc.store import flow, reading, told
from metrics_svc.store.samples import samples
from metrics_svc.store.teams import of_parts, team_samples
from shared.catalog import Catalog
from shared.contracts.envelope import event_message
from shared.contracts.events import Event
from shared.contracts.subjects import Subjects
from shared.db import Connection, Pool, outbox
from shared.db.catalogs import CurrentCatalog
from shared.db.polling import look_every
from shared.telemetry import logs

log = logs.get(__name__)

LOOK_EVERY_S = 60.0


class Weekly:
    def __init__(self, pool: Pool, catalogs: CurrentCatalog, subjects: Subjects) -> None:
        self._pool = pool
        self._catalogs = catalogs
        self._subjects = subjects

    async def run(self, stop: asyncio.Event) -> None:
        await look_every(LOOK_EVERY_S, self.tell, stop, name="weekly")

    async def tell(self) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            now = await reading.now(connection)
            events = await week_told(connection, self._catalogs.catalog, now.astimezone(UTC))
            said = [*events, *weeks.bulletins_of(events, now)]
            await outbox.add(connection, [event_message(event, self._subjects) for event in said])
        if events:
            log.info("weekly.told", events=len(events))


async def week_told(tx: Connection, catalog: Catalog, now: datetime) -> list[Event]:
    """What the week that ended is worth telling; nothing where that was done, or is not due. `now` is in UTC."""
    monday = weeks.due(now)
    if monday is None or not await told.begin(tx, (monday - weeks.WEEK).date()):
        return []
    asked = weeks.question(await reading.services(tx, catalog), monday)
    found = await samples(tx, asked, dora.METRICS)
    events: list[Event] = []
    recent = by_team(weeks.last_two(asked), catalog)
    for team, (own, mine) in (await team_samples(tx, asked, found, catalog, dora.METRICS)).items():
        shipped = await of_parts(recent[team], partial(flow.shipped, tx)) if team in recent else []
        if (summary := weeks.summary(team, own, mine, shipped)) is not None:
            events.append(summary)
    before = await told.shifts(tx)
    for name in asked.services:
        for event in weeks.shifted(name, catalog.team_of(name), asked, found, before):
            await told.add_shift(tx, name, event.metric, event.since)
            events.append(event)
    return events
