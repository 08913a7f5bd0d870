"""What time does: reminders, escalations, expiry and the ends of freezes; old triggers and commits go."""

import asyncio

from approvals_svc import passed_store, store
from approvals_svc.desk import Desk
from shared.db import Pool
from shared.db.polling import look_every

POLL_S = 1.0
BATCH_MAX = 200
COMMITS_KEPT_S = 90 * 24 * 3600.0
PASSED_KEPT_S = 7 * 24 * 3600.0  # events of one run may come in any order, but not weeks apart
TRIGGERS_KEPT_S = 24 * 3600.0  # a click is refused by its age long before


class Deadlines:
    """One per process; several share the rows by skipping those that another holds."""

    def __init__(self, *, pool: Pool, desk: Desk) -> None:
        self._pool = pool
        self._desk = desk

    async def run(self, stop: asyncio.Event) -> None:
        await look_every(POLL_S, self._look, stop, name="deadlines")

    async def _look(self) -> None:
        while await self.fire_some() == BATCH_MAX:
            pass
        await self._tidy()

    async def fire_some(self) -> int:
        """How many deadlines there were."""
        async with self._pool.acquire() as connection, connection.transaction():
            return await self._desk.fire_due(connection, limit=BATCH_MAX)

    async def _tidy(self) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await store.forget_triggers(connection, older_than_s=TRIGGERS_KEPT_S)
            await store.forget_commits(connection, older_than_s=COMMITS_KEPT_S)
            await passed_store.forget(connection, older_than_s=PASSED_KEPT_S)
