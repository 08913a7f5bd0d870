"""What time does: pending approvals expire, decisions are counted, old triggers are forgotten."""

import asyncio

from approvals_svc import store
from approvals_svc.desk import Desk
from shared.db import Pool
from shared.db.polling import pause
from shared.db.pool import INFRASTRUCTURE_ERRORS
from shared.telemetry import logs, metrics

log = logs.get(__name__)

POLL_S = 1.0
BATCH_MAX = 50
TRIGGERS_KEPT_S = 24 * 3600.0  # a click is refused by its age long before


class Deadlines:
    """One per process; several share the rows by skipping those that another holds."""

    def __init__(self, *, pool: Pool, desk: Desk) -> None:
        self._pool = pool
        self._desk = desk

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                while await self.expire_some() == BATCH_MAX:
                    pass
                await self._tidy()
            except INFRASTRUCTURE_ERRORS as error:
                log.warning("deadlines.stalled", error=repr(error))
            await pause(stop, POLL_S)

    async def expire_some(self) -> int:
        async with self._pool.acquire() as connection, connection.transaction():
            return await self._desk.expire_overdue(connection, limit=BATCH_MAX)

    async def _tidy(self) -> None:
        """Counted from committed rows, each by one replica: a rolled back decision was none."""
        async with self._pool.acquire() as connection, connection.transaction():
            decisions = await store.count_decisions(connection)
            await store.forget_triggers(connection, older_than_s=TRIGGERS_KEPT_S)
        for decision in decisions:
            metrics.approvals_decisions.labels(status=decision).inc()
