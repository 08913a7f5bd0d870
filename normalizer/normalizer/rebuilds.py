"""A rebuild: the archive is translated again, for the one service that asked, onto `em.replay.<service>.<kind>`.

The ids of the events are those of the first translation; `Nats-Msg-Id` has the job in front, so that a second rebuild
says everything again. Deliveries that came after the job began are in the archive too: the job ends when it caught up.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from normalizer import store
from normalizer.disposition import Events, Untranslatable
from normalizer.handlers import stamp
from normalizer.store import Rebuild
from normalizer.translation import translate
from shared.bus import Bus, failpoints
from shared.bus.faults import NOBODYS
from shared.contracts.envelope import MESSAGE_ID, Outgoing, RawDelivery, event_message
from shared.contracts.events import Event
from shared.contracts.streams import rebuilt_kinds
from shared.db import Connection, Pool
from shared.db.polling import pause
from shared.telemetry import logs

log = logs.get(__name__)

LOOK_EVERY_S = 1.0
BACKOFF_S = 2.0
PAGE = 200
PUBLISH_TIMEOUT_S = 20.0
# Of one delivery, bugs included: what made it a dead letter once must not stop the service that says all others.
FAULTS = (Untranslatable, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError)


class Rebuilds:
    """A loop of normalizer; of several processes one works on a job at a time, a page per transaction."""

    def __init__(self, *, bus: Bus, pool: Pool) -> None:
        self._bus = bus
        self._pool = pool

    async def run(self, stop: asyncio.Event) -> None:
        wait_s = 0.0
        while not await pause(stop, wait_s):
            try:
                wait_s = 0.0 if await self._page() else LOOK_EVERY_S
            except NOBODYS as error:
                log.warning("rebuild.stalled", error=repr(error))
                wait_s = BACKOFF_S

    async def _page(self) -> bool:
        """True when there may be more. What was published before a crash is published again under the same ids."""
        async with self._pool.acquire() as tx, tx.transaction():
            job = await store.open_rebuild(tx)
            if job is None:
                return False
            page = await store.archived_after(tx, job.archive_id, limit=PAGE)
            if not page:
                await store.end_rebuild(tx, job)
                log.info("rebuild.said", job=job.job, service=job.service)
                return False
            await self._say(tx, job, page)
        return True

    async def _say(self, tx: Connection, job: Rebuild, page: Sequence[tuple[int, RawDelivery]]) -> None:
        kinds = rebuilt_kinds(job.service)
        events: list[Event] = []
        untranslatable = 0
        for archive_id, delivery in page:
            try:
                disposition = translate(delivery)
            except FAULTS as error:
                log.warning("rebuild.untranslatable", job=job.job, archive_id=archive_id, error=repr(error))
                untranslatable += 1
                continue
            if isinstance(disposition, Events):
                events += [event for event in stamp(delivery, disposition.events) if event.kind in kinds]
        messages = [self._message(event, job) for event in events]
        if messages:
            await self._bus.publisher.publish_all(messages, timeout_s=PUBLISH_TIMEOUT_S)
        await failpoints.reach("rebuild.published")
        await store.advance_rebuild(
            tx, job, archive_id=page[-1][0], deliveries=len(page), events=len(events), untranslatable=untranslatable
        )

    def _message(self, event: Event, job: Rebuild) -> Outgoing:
        message = event_message(event, self._bus.subjects)
        return msgspec.structs.replace(
            message,
            subject=self._bus.subjects.replay(job=job.service, kind=event.kind),
            headers={**message.headers, MESSAGE_ID: f"{job.job}:{event.id}"},
        )
