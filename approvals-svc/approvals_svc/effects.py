"""Does outside what was decided: leases due effects, calls outside any transaction, stores what became of it."""

import asyncio
from collections.abc import Coroutine

from approvals_svc import store
from approvals_svc.desk import Desk
from approvals_svc.github import Confirmed, Delivered, Github, GivenUp, Unknown
from approvals_svc.model import Effect
from shared.db import Pool
from shared.db.pool import INFRASTRUCTURE_ERRORS
from shared.telemetry import logs, metrics

log = logs.get(__name__)

POLL_S = 0.25
STALLED_S = 2.0
BATCH_MAX = 10
DELIVERY_MAX_S = 40.0
DRAIN_S = 3.0
LEASE_S = 60.0  # longer than any delivery
BACKOFF_FIRST_S = 1.0
BACKOFF_MAX_S = 60.0
ATTEMPTS_MAX = 60  # about an hour

NOT_CONFIGURED = "not configured: set GITHUB_APP_ID and GITHUB_APP_PRIVATE_KEY; decisions wait until then"


class Effects:
    def __init__(self, *, pool: Pool, desk: Desk, github: Github | None) -> None:
        self._pool = pool
        self._desk = desk
        self._github = github
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something was decided: no need to wait for the poll."""
        self._woken.set()

    @property
    def state(self) -> str:
        return "configured" if self._github else NOT_CONFIGURED

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`; what is in hand then is finished."""
        if self._github is None:
            log.warning("effects.off", reason=NOT_CONFIGURED)
            await stop.wait()
            return
        while not stop.is_set():
            try:
                while await self._round(self._github, stop) and not stop.is_set():
                    pass
                wait_s = POLL_S
            except INFRASTRUCTURE_ERRORS as error:
                log.warning("effects.stalled", error=repr(error))
                wait_s = STALLED_S
            await self._sleep(stop, wait_s)

    async def _round(self, github: Github, stop: asyncio.Event) -> bool:
        """True when there may be more."""
        async with self._pool.acquire() as connection, connection.transaction():
            due = await store.lease_effects(connection, limit=BATCH_MAX, lease_s=LEASE_S)
        async with asyncio.TaskGroup() as group:
            for effect in due:
                group.create_task(self._perform(github, effect, stop))
        return len(due) == BATCH_MAX

    async def _perform(self, github: Github, effect: Effect, stop: asyncio.Event) -> None:
        """Any try but the first looks first: the one before may have arrived, or its process may have died."""
        delivered = await _unless_stopped(github.deliver(effect.answer, look_first=effect.attempts > 1), stop)
        if isinstance(delivered, Unknown) and effect.attempts >= ATTEMPTS_MAX:
            delivered = GivenUp(f"{delivered.reason}, {effect.attempts} times")
        try:
            if not await self._store(effect, delivered):
                log.warning("effect.lease_lost", effect_id=effect.id, epoch=effect.epoch)
        except INFRASTRUCTURE_ERRORS as error:  # the lease runs out, and the next holder looks first
            log.warning("effect.not_stored", effect_id=effect.id, error=repr(error))

    async def _store(self, effect: Effect, delivered: Delivered) -> bool:
        log.info("effect.tried", approval_id=effect.approval_id, attempts=effect.attempts, outcome=repr(delivered))
        result = type(delivered).__name__.lower()
        metrics.approvals_effects.labels(kind=effect.kind, result=result).inc()
        async with self._pool.acquire() as connection, connection.transaction():
            match delivered:
                case Unknown(reason, after_s):
                    wait_s = _backoff_s(effect.attempts) if after_s is None else after_s
                    return await store.postpone_effect(connection, effect, after_s=wait_s, result=reason)
                case Confirmed(how):
                    held = await store.close_effect(connection, effect, state="done", result=how)
                    if held:
                        await self._desk.close(connection, effect, note=how)
                    return held
                case GivenUp(reason):
                    held = await store.close_effect(connection, effect, state="dead", result=reason)
                    if held:
                        await self._desk.close(connection, effect, failure=reason)
                    return held

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
