"""Requests that wait until an approval is decided: one question to the database for all of them, whoever decides."""

import asyncio
from collections import defaultdict

from approvals_svc import store
from shared.db import Pool
from shared.db.polling import pause
from shared.db.pool import INFRASTRUCTURE_ERRORS
from shared.telemetry import logs, metrics

log = logs.get(__name__)

POLL_S = 0.25
STALLED_S = 2.0


class Waiters:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: defaultdict[int, set[asyncio.Event]] = defaultdict(set)
        self._is_closing = False

    async def decided(self, number: int, *, timeout_s: float) -> bool:
        """False when the time is over, or the process stops: who waits asks again, whichever replica."""
        if self._is_closing:
            return False
        woken = asyncio.Event()
        self._waiting[number].add(woken)
        metrics.approvals_waiters.inc()
        try:
            async with asyncio.timeout(timeout_s):
                await woken.wait()
        except TimeoutError:
            return False
        finally:
            metrics.approvals_waiters.dec()
            self._leave(number, woken)
        return True

    async def run(self, stop: asyncio.Event) -> None:
        """A loop of the service."""
        wait_s = POLL_S
        while not await pause(stop, wait_s):
            try:
                await self._look()
                wait_s = POLL_S
            except INFRASTRUCTURE_ERRORS as error:
                log.warning("waiters.stalled", error=repr(error))
                wait_s = STALLED_S
        self._is_closing = True
        self._wake(list(self._waiting))

    async def _look(self) -> None:
        if not self._waiting:
            return
        async with self._pool.acquire() as connection:
            self._wake(await store.decided_of(connection, list(self._waiting)))

    def _wake(self, numbers: list[int]) -> None:
        for number in numbers:
            for woken in self._waiting.get(number, ()):
                woken.set()

    def _leave(self, number: int, woken: asyncio.Event) -> None:
        self._waiting[number].discard(woken)
        if not self._waiting[number]:
            del self._waiting[number]
