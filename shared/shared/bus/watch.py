"""Whether a durable is still there and hands out what it has: a deleted one looks like an idle one to a fetch."""

import time

from nats.js.errors import NotFoundError, ServiceUnavailableError

from shared.bus.connection import Bus
from shared.contracts.streams import Durable
from shared.telemetry import logs, metrics

log = logs.get(__name__)

LOOK_EVERY_S = 3.0
STUCK_AFTER_S = 60.0


class Missing(TimeoutError):
    """Stream or consumer are gone: nobody's fault, and healed by `em provision`."""


class Stuck(TimeoutError):
    """Messages are pending, and none is handed out (nats-server #7680): a new subscription may help."""


class Watch:
    """`problem` is for readiness. Looks at the broker's own account every few seconds, busy or idle."""

    def __init__(self, bus: Bus, durable: Durable) -> None:
        self._bus = bus
        self._durable = durable
        self._stream = bus.subjects.stream(durable.stream)
        self._looked_at = 0.0
        self._moved_at = time.monotonic()
        self.problem: str | None = None

    async def saw(self, messages: int) -> None:
        """After each fetch. Raises as `look`."""
        if messages:
            self._moved_at = time.monotonic()
        if time.monotonic() - self._looked_at >= LOOK_EVERY_S:
            await self.look()

    async def look(self) -> None:
        """Raises Missing or Stuck, or what the connection raises."""
        self._looked_at = time.monotonic()
        try:
            info = await self._bus.js.consumer_info(self._stream, self._durable.name, timeout=2)
        except (NotFoundError, ServiceUnavailableError) as error:
            self.problem = f"consumer {self._durable.name} of {self._stream} is not there: run em provision"
            log.error("consumer.missing", consumer=self._durable.label, stream=self._stream)
            raise Missing(self.problem) from error
        pending, in_hand = info.num_pending or 0, info.num_ack_pending or 0
        metrics.consumer_pending.labels(consumer=self._durable.label).set(pending)
        if not pending or in_hand >= self._durable.ack_pending_max:
            self._moved_at = time.monotonic()
        self.problem = None
        if time.monotonic() - self._moved_at > STUCK_AFTER_S:
            self._moved_at = time.monotonic()
            self.problem = f"{pending} messages wait in {self._stream}, and none is handed out"
            raise Stuck(self.problem)
