"""The relay: publishes what stands in the outbox after its commit, and deletes it after the acknowledgement."""

import asyncio
import time

import nats.errors

from shared.bus import failpoints
from shared.bus.connection import Bus
from shared.bus.publisher import PublishError
from shared.db import Pool, outbox
from shared.db.polling import pause
from shared.db.pool import INFRASTRUCTURE_ERRORS
from shared.telemetry import logs, metrics

log = logs.get(__name__)

POLL_S = 0.25
BATCH_MAX = 100
PUBLISH_TIMEOUT_S = 10.0
BACKOFF_S = 2.0
LOOK_EVERY_S = 5.0


class Relay:
    """One per process; several share the outbox by skipping rows that another holds."""

    def __init__(self, *, bus: Bus, pool: Pool, service: str) -> None:
        self._bus = bus
        self._pool = pool
        self._service = service
        self._woken = asyncio.Event()
        self._problem: str | None = None
        self._looked_at = float("-inf")

    def wake(self) -> None:
        """Something was committed: no need to wait for the poll."""
        self._woken.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set and the outbox was emptied once more."""
        while True:
            last_round = stop.is_set()
            try:
                while await self._move_batch():
                    pass
                await self._look()
                wait_s = POLL_S
            except (*INFRASTRUCTURE_ERRORS, PublishError, nats.errors.Error) as error:
                self._problem = f"{type(error).__name__}: {error}"
                log.warning("outbox.stalled", error=repr(error))
                wait_s = BACKOFF_S
            if last_round:
                return
            await pause(self._woken, wait_s)
            self._woken.clear()

    async def problem(self) -> str | None:
        """For readiness: why what was committed is not published, or None."""
        return self._problem

    async def _look(self) -> None:
        self._problem = None
        if time.monotonic() - self._looked_at >= LOOK_EVERY_S:
            self._looked_at = time.monotonic()
            metrics.outbox_oldest.labels(service=self._service).set(await outbox.oldest_seconds(self._pool))

    async def _move_batch(self) -> bool:
        """True when there may be more."""
        async with self._pool.acquire() as connection, connection.transaction():
            messages = await outbox.oldest(connection, limit=BATCH_MAX)
            if not messages:
                return False
            await self._bus.publisher.publish_all(messages, timeout_s=PUBLISH_TIMEOUT_S)
            await failpoints.reach("outbox.published")
            await outbox.remove(connection, [message.message_id for message in messages])
        metrics.outbox_published.labels(service=self._service).inc(len(messages))
        return len(messages) == BATCH_MAX
