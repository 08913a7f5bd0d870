"""What a consumer holds: until each message is settled, the broker is told that it is still worked on."""

import asyncio
from collections.abc import Iterable
from datetime import timedelta

import nats.errors

from shared.bus.received import Received
from shared.db.polling import pause
from shared.db.pool import INFRASTRUCTURE_ERRORS
from shared.telemetry import logs

log = logs.get(__name__)


class Hand:
    """Messages taken and not yet settled. `lease` is the durable's `ack_wait`."""

    def __init__(self, lease: timedelta) -> None:
        self.lease = lease
        self._held: list[Received] = []
        self._released = asyncio.Event()

    def take(self, received: Iterable[Received]) -> None:
        """What was settled goes at once: its bodies may be large."""
        self._held = [*(each for each in self._held if not each.settled), *received]

    async def keep(self) -> None:
        """Prolong what is held three times per lease: a slow handler or an outage must not cause a redelivery."""
        while not await pause(self._released, self.lease.total_seconds() / 3):
            self._held = [each for each in self._held if not each.settled]
            for each in list(self._held):
                try:
                    if not each.settled:
                        await each.hold(self.lease)
                except (nats.errors.Error, *INFRASTRUCTURE_ERRORS) as error:
                    log.warning("message.not_held", sequence=each.sequence, error=repr(error))

    def release(self) -> None:
        self._released.set()
