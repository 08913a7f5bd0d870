"""Does outside what was decided: leases due effects, calls outside any transaction, stores what became of it."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Mapping
from typing import Any, Protocol

from approvals_svc.desk import Desk
from approvals_svc.model import Effect
from approvals_svc.tasks import Confirmed, Delivered, GivenUp, Unknown
from shared.db import Pool
from shared.db.pool import INFRASTRUCTURE_ERRORS
from shared.telemetry import logs

log = logs.get(__name__)

POLL_S = 0.25
STALLED_S = 2.0
BATCH_MAX = 10
IN_HAND_MAX = 10  # of one kind, give or take a batch
DELIVERY_MAX_S = 40.0
DRAIN_S = 3.0
LEASE_S = 60.0  # longer than any delivery
BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 60.0
ATTEMPTS_MAX = 60  # about an hour


class Performer(Protocol):
    async def deliver(self, task: Any, *, look_first: bool) -> Delivered:
        """Does it at most once. `look_first` after any try whose end is not known: what is there is not done again."""


class Effects:
    """`performers` by kind of task; what has none waits."""

    def __init__(self, *, pool: Pool, desk: Desk, performers: Mapping[str, Performer]) -> None:
        self._pool = pool
        self._desk = desk
        self._performers = performers
        self._in_hand: Counter[str] = Counter()
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something was decided: no need to wait for the poll."""
        self._woken.set()

    def performs(self, kind: str) -> bool:
        return kind in self._performers

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; what is in hand then is finished."""
        async with asyncio.TaskGroup() as hands:
            while not stop.is_set():
                try:
                    while await self._round(hands, stop) and not stop.is_set():
                        pass
                    wait_s = POLL_S
                except INFRASTRUCTURE_ERRORS as error:
                    log.warning("effects.stalled", error=repr(error))
                    wait_s = STALLED_S
                await self._sleep(stop, wait_s)

    async def _round(self, hands: asyncio.TaskGroup, stop: asyncio.Event) -> bool:
        """True when there may be more. A kind whose calls hang holds up no other."""
        free = sorted(kind for kind in self._performers if self._in_hand[kind] < IN_HAND_MAX)
        if not free:
            return False
        async with self._pool.acquire() as connection, connection.transaction():
            due = await self._desk.claim_effects(connection, kinds=free, limit=BATCH_MAX, lease_s=LEASE_S)
        for effect in due:
            self._in_hand[effect.task.kind] += 1
            hands.create_task(self._finish(effect, stop))
        return len(due) == BATCH_MAX

    async def _finish(self, effect: Effect, stop: asyncio.Event) -> None:
        try:
            await self._perform(effect, stop)
        finally:
            self._in_hand[effect.task.kind] -= 1
            self.wake()

    async def _perform(self, effect: Effect, stop: asyncio.Event) -> None:
        """Any try but the first looks first: the one before may have arrived, or its process may have died."""
        performer = self._performers[effect.task.kind]
        delivered = await _unless_stopped(performer.deliver(effect.task, look_first=effect.attempts > 1), stop)
        if isinstance(delivered, Unknown) and effect.attempts >= ATTEMPTS_MAX:
            delivered = GivenUp(f"{delivered.reason}, {effect.attempts} times")
        try:
            if not await self._store(effect, delivered):
                log.warning("effect.lease_lost", effect_id=effect.id, epoch=effect.epoch)
        except INFRASTRUCTURE_ERRORS as error:  # the lease runs out, and the next holder looks first
            log.warning("effect.not_stored", effect_id=effect.id, error=repr(error))

    async def _store(self, effect: Effect, delivered: Delivered) -> bool:
        log.info("effect.tried", approval_id=effect.approval_id, attempts=effect.attempts, outcome=repr(delivered))
        async with self._pool.acquire() as connection, connection.transaction():
            match delivered:
                case Unknown(reason, after_s):
                    wait_s = _backoff_s(effect.attempts) if after_s is None else after_s
                    return await self._desk.postpone(connection, effect, after_s=wait_s, reason=reason)
                case Confirmed(how):
                    return await self._desk.close(connection, effect, note=how)
                case GivenUp(reason):
                    return await self._desk.close(connection, effect, failure=reason)

    async def _sleep(self, stop: asyncio.Event, seconds: float) -> None:
        waits = [asyncio.ensure_future(stop.wait()), asyncio.ensure_future(self._woken.wait())]
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        self._woken.clear()


async def _unless_stopped(delivering: Coroutine[None, None, Delivered], stop: asyncio.Event) -> Delivered:
    """A call that hangs while the process drains, or for too long at all, ends as unknown."""
    call = asyncio.ensure_future(delivering)
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait((call, stopping), timeout=DELIVERY_MAX_S, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.wait((call,), timeout=DRAIN_S)
    stopping.cancel()
    if call.done():
        return call.result()
    call.cancel()
    return Unknown("given up waiting for an answer", after_s=0)


def _backoff_s(attempts: int) -> float:
    return min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** (attempts - 1))
