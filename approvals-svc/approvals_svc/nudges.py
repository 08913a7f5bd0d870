"""Messages to people: notifier is asked for them on the bus, and says what became of each."""

import asyncio
from collections.abc import Callable

import msgspec

from approvals_svc import nudge_store, store
from approvals_svc.tasks import Confirmed, Delivered, GivenUp, NudgeTask, Unknown
from shared.contracts.envelope import event_message
from shared.contracts.events import Nudge
from shared.contracts.services import APPROVALS_SVC
from shared.contracts.subjects import Subjects
from shared.db import Pool, outbox

ANSWER_MAX_S = 10.0
LOOK_EVERY_S = 0.2
LOOK_AGAIN_S = 5.0
UNANSWERED = "notifier has not said yet what became of it"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """As of a `Nudge`: the same `id` is the same message."""

    id: str
    text: str
    asked_by: str
    channel: str = ""
    service: str = ""
    person: str = ""
    origin: str = "live"


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """`state`: shown, dry_run, dead, held; asked while notifier has said nothing."""

    state: str
    channel: str = ""
    reason: str = ""


class Nudges:
    def __init__(self, *, pool: Pool, subjects: Subjects, wake: Callable[[], None]) -> None:
        """`wake`: the outbox has something to publish."""
        self._pool = pool
        self._subjects = subjects
        self._wake = wake

    async def deliver(self, task: NudgeTask, *, look_first: bool) -> Delivered:
        """Done once people can read it."""
        message = msgspec.convert(task, Message, from_attributes=True)
        settled = await self.ask(message, timeout_s=ANSWER_MAX_S)
        match settled.state:
            case "asked":
                return Unknown(UNANSWERED, after_s=LOOK_AGAIN_S)
            case "shown":
                return Confirmed(f"posted in {settled.channel}")
            case _:
                return GivenUp(settled.reason)

    async def ask(self, message: Message, *, timeout_s: float) -> Settled:
        """Asks notifier unless somebody has, and waits so long for its answer. It is dated now, for it is news."""
        async with self._pool.acquire() as tx, tx.transaction():
            if await nudge_store.ask(tx, message.id):
                now = await store.clock(tx)
                nudge = Nudge(
                    occurred_at=now,
                    text=message.text,
                    channel=message.channel,
                    service=message.service,
                    person=message.person,
                    asked_by=message.asked_by,
                ).stamped(id=message.id, source=APPROVALS_SVC.name, origin=message.origin, received_at=now)
                await outbox.add(tx, [event_message(nudge, self._subjects)])
        self._wake()
        return await self._answer(message.id, timeout_s)

    async def _answer(self, nudge_id: str, timeout_s: float) -> Settled:
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    async with self._pool.acquire() as connection:
                        found = await nudge_store.settled(connection, nudge_id)
                    if found:
                        return Settled(**found)
                    await asyncio.sleep(LOOK_EVERY_S)
        except TimeoutError:
            return Settled(state="asked", reason=UNANSWERED)
