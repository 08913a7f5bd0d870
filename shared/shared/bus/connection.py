"""One connection to NATS, with settings that notice a half-open link in seconds and never give up reconnecting."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext

from shared.bus.durability import Durability
from shared.bus.publisher import Publisher
from shared.contracts.rights import OPERATOR
from shared.contracts.services import Service
from shared.contracts.subjects import Subjects
from shared.db.polling import pause
from shared.settings import InvalidConfiguration, ServiceSettings
from shared.telemetry import logs, metrics

log = logs.get(__name__)

PING_INTERVAL_S = 5
RECONNECT_WAIT_S = 0.25
PENDING_MAX_BYTES = 64 * 1024 * 1024
CONNECT_ATTEMPT_TIMEOUT_S = 5
DENIAL_SHOWN_S = 60.0


class InvalidNatsUser(InvalidConfiguration):
    """The broker refuses the user, or NATS_NKEY_SEED is no seed."""


class ConnectionClosed(RuntimeError):
    """The client gave up for good; only a new process connects again."""


class Bus:
    """The connection, what is published on it, and whether it is there."""

    def __init__(self, connection: Client, subjects: Subjects) -> None:
        self.connection = connection
        self.subjects = subjects
        self.js: JetStreamContext = connection.jetstream(timeout=CONNECT_ATTEMPT_TIMEOUT_S)
        self.publisher = Publisher(connection, self.js)
        self.durability = Durability(connection, self.js, subjects)
        self._denial = ""
        self._denied_at = float("-inf")

    async def problem(self) -> str | None:
        """For readiness: what is wrong, or None."""
        if self.connection.is_closed:
            return "connection to NATS is closed"
        if not self.connection.is_connected:
            return "not connected to NATS"
        if time.monotonic() - self._denied_at < DENIAL_SHOWN_S:
            return self._denial
        return await self.durability.problem()

    async def watch(self, stop: asyncio.Event) -> None:
        """A loop of every service. Raises ConnectionClosed, so that the process ends and is started again."""
        while not await pause(stop, 1.0):
            if self.connection.is_closed:
                raise ConnectionClosed("the connection to NATS was closed for good")

    def deny(self, denial: str) -> None:
        """A permission error reaches nobody but the connection's error callback: the publisher just hears nothing."""
        self._denial, self._denied_at = f"NATS denies this user: {denial}", time.monotonic()


@asynccontextmanager
async def open_bus(settings: ServiceSettings, service: Service) -> AsyncIterator[Bus]:
    """Waits for the broker as long as it takes: a service that starts first is merely not ready.

    Raises InvalidNatsUser where the broker refuses the user.
    """
    async with _open(settings, name=f"em-{service.folder}", user=service.name, reconnects=True) as bus:
        metrics.nats_connected.set(1)
        yield bus


@asynccontextmanager
async def open_operator(settings: ServiceSettings) -> AsyncIterator[Bus]:
    """For commands: says at once when the broker can't be reached (nats.errors.Error or OSError)."""
    async with _open(settings, name="em", user=OPERATOR, reconnects=False) as bus:
        yield bus


@asynccontextmanager
async def _open(settings: ServiceSettings, *, name: str, user: str, reconnects: bool) -> AsyncIterator[Bus]:
    denials: list[str] = []
    opened: list[Bus] = []

    async def on_error(error: Exception) -> None:
        metrics.nats_errors.labels(error=type(error).__name__).inc()
        text = str(error)
        log.warning("nats.error", error=repr(error))
        if "permissions violation" in text.lower():
            metrics.nats_denials.inc()
            for bus in opened:
                bus.deny(text)
        elif "authorization violation" in text.lower():
            denials.append(text)

    connection = Client()
    connecting = asyncio.ensure_future(
        connection.connect(
            settings.nats_url.split(","),
            name=name,
            inbox_prefix=f"_INBOX_{user}",
            connect_timeout=CONNECT_ATTEMPT_TIMEOUT_S,
            allow_reconnect=reconnects,
            max_reconnect_attempts=-1 if reconnects else 0,
            reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # seconds; fractions work
            ping_interval=PING_INTERVAL_S,
            max_outstanding_pings=2,
            pending_size=PENDING_MAX_BYTES,
            error_cb=on_error,
            disconnected_cb=_on_disconnected,
            reconnected_cb=_on_reconnected,
            **_credentials(settings),
        )
    )
    while not connecting.done() and not denials:
        await asyncio.wait([connecting], timeout=0.05)
    if denials:
        connecting.cancel()
        variable = "NATS_NKEY_SEED" if settings.nats_nkey_seed.get_secret_value() else "NATS_NKEY_SEED (it is not set)"
        raise InvalidNatsUser(f"NATS refuses the user {user}: check {variable}")
    await connecting
    bus = Bus(connection, Subjects(settings.nats_prefix))
    opened.append(bus)
    try:
        yield bus
    finally:
        await _close(connection)


def _credentials(settings: ServiceSettings) -> dict[str, Any]:
    seed = settings.nats_nkey_seed.get_secret_value()
    if not seed:
        return {}
    import nkeys

    try:
        nkeys.from_seed(seed.encode())
    except (nkeys.NkeysError, ValueError) as error:
        raise InvalidNatsUser("NATS_NKEY_SEED is not an nkey seed (SU…)") from error
    return {"nkeys_seed_str": seed}


async def _close(connection: Client) -> None:
    """Acknowledgements are fire and forget: flush them, else the last ones are lost."""
    if connection.is_closed:
        return
    try:
        await connection.flush(timeout=2)
    except (nats.errors.Error, OSError) as error:
        log.warning("nats.flush_failed", error=repr(error))
    await connection.close()


async def _on_disconnected() -> None:
    metrics.nats_connected.set(0)
    log.warning("nats.disconnected")


async def _on_reconnected() -> None:
    metrics.nats_connected.set(1)
    metrics.nats_reconnects.inc()
    log.info("nats.reconnected")
