"""The loop that tells each team once a week how its approvals went, from whichever replica comes first."""

import asyncio
from datetime import UTC, datetime, timedelta

from approvals_svc import store, summary, summary_store
from approvals_svc.desk import Desk
from approvals_svc.summary import WEEK, Span
from shared.contracts.envelope import event_message
from shared.contracts.events import ApprovalSummarized
from shared.contracts.subjects import Subjects
from shared.db import Connection, Pool, outbox
from shared.db.polling import look_every
from shared.telemetry import logs

log = logs.get(__name__)

LOOK_EVERY_S = 60.0


class Weekly:
    """`sla`: how long an approval may wait."""

    def __init__(self, *, pool: Pool, desk: Desk, subjects: Subjects, sla: timedelta) -> None:
        self._pool = pool
        self._desk = desk
        self._subjects = subjects
        self._sla = sla

    async def run(self, stop: asyncio.Event) -> None:
        await look_every(LOOK_EVERY_S, self.tell, stop, name="weekly")

    async def tell(self) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            events = await self.week_told(connection, (await store.clock(connection)).astimezone(UTC))
        if events:
            log.info("weekly.told", events=len(events))

    async def week_told(self, tx: Connection, now: datetime) -> list[ApprovalSummarized]:
        """Of the week that ended; nothing where that was done, or is not due. `now` is in UTC."""
        monday = summary.monday_due(now)
        if monday is None:
            return []
        span = Span(start=monday - WEEK, end=monday)
        if not await summary_store.begin(tx, span.start.date()):
            return []
        catalog = await self._desk.current_catalog(tx)
        found = summary.by_team(await summary_store.rows(tx, span), span, catalog, sla=self._sla)
        events = [summary.told(each, span.start.date(), sla=self._sla, now=now) for each in found]
        await outbox.add(tx, [event_message(event, self._subjects) for event in events])
        return events
