"""One connection to NATS, with settings that notice a half-open link in seconds and never give up reconnecting."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext

from shared.bus.publisher import Publisher
from shared.contracts.services import Service
from shared.contracts.subjects import Subjects
from shared.settings import ServiceSettings
from shared.telemetry import logs, metrics

log = logs.get(__name__)

PING_INTERVAL_S = 5
RECONNECT_WAIT_S = 0.25
PENDING_MAX_BYTES = 64 * 1024 * 1024
CONNECT_ATTEMPT_TIMEOUT_S = 5

OPERATOR = "operator"


class Bus:
    """The connection, what is published on it, and whether it is there."""

    def __init__(self, connection: Client, subjects: Subjects) -> None:
        self.connection = connection
        self.subjects = subjects
        self.js: JetStreamContext = connection.jetstream(timeout=CONNECT_ATTEMPT_TIMEOUT_S)
        self.publisher = Publisher(connection, self.js)

    async def problem(self) -> str | None:
        """For readiness: what is wrong, or None."""
        if self.connection.is_closed:
            return "connection to NATS is closed"
        return None if self.connection.is_connected else "not connected to NATS"


@asynccontextmanager
async def open_bus(settings: ServiceSettings, service: Service) -> AsyncIterator[Bus]:
    """Waits for the broker as long as it takes: a service that starts first is merely not ready."""
    connection = Client()
    await connection.connect(
        settings.nats_url.split(","),
        name=f"em-{service.folder}",
        inbox_prefix=f"_INBOX_{service.name}",
        connect_timeout=CONNECT_ATTEMPT_TIMEOUT_S,
        max_reconnect_attempts=-1,
        reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # seconds; fractions work, the hint says int
        ping_interval=PING_INTERVAL_S,
        max_outstanding_pings=2,
        pending_size=PENDING_MAX_BYTES,
        error_cb=_on_error,
        disconnected_cb=_on_disconnected,
        reconnected_cb=_on_reconnected,
    )
    metrics.nats_connected.set(1)
    try:
        yield Bus(connection, Subjects(settings.nats_prefix))
    finally:
        await _close(connection)


@asynccontextmanager
async def open_operator(settings: ServiceSettings) -> AsyncIterator[Bus]:
    """For commands: says at once when the broker can't be reached (nats.errors.Error or OSError)."""
    connection = Client()
    await connection.connect(
        settings.nats_url.split(","),
        name="em",
        inbox_prefix=f"_INBOX_{OPERATOR}",
        connect_timeout=CONNECT_ATTEMPT_TIMEOUT_S,
        allow_reconnect=False,
        error_cb=_on_error,
    )
    try:
        yield Bus(connection, Subjects(settings.nats_prefix))
    finally:
        await _close(connection)


async def _close(connection: Client) -> None:
    """Acknowledgements are fire and forget: flush them, else the last ones are lost."""
    try:
        await connection.flush(timeout=2)
    except (nats.errors.Error, OSError) as error:
        log.warning("nats.flush_failed", error=repr(error))
    await connection.close()


async def _on_error(error: Exception) -> None:
    metrics.nats_errors.labels(error=type(error).__name__).inc()
    log.warning("nats.error", error=repr(error))


async def _on_disconnected() -> None:
    metrics.nats_connected.set(0)
    log.warning("nats.disconnected")


async def _on_reconnected() -> None:
    metrics.nats_connected.set(1)
    metrics.nats_reconnects.inc()
    log.info("nats.reconnected")
