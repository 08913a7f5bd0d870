"""One connection to NATS, with settings that notice a half-open link in seconds and never give up reconnecting."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats.errors
from nats.js import JetStreamContext

from shared.bus import failpoints
from shared.bus.bodies import Bodies
from shared.bus.durability import Durability
from shared.bus.link import Link
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
HEAD_START_S = 1.0  # what starts beside a broker that is there begins connected
DENIAL_SHOWN_S = 60.0
WATCH_EVERY_S = 0.5


class InvalidNatsUser(InvalidConfiguration):
    """The broker refuses the user, or NATS_NKEY_SEED is no seed."""


class ConnectionClosed(RuntimeError):
    """The client gave up for good; only a new process connects again."""


class Faults:
    """What the broker tells to nobody but the connection's callbacks: a denied publisher, say, just hears nothing.

    `logs` is False for commands, which tell by themselves, and for everybody once it leaves.
    """

    def __init__(self, user: str, *, has_seed: bool, logs: bool) -> None:
        self._user = user
        self.logs = logs
        self._variable = "NATS_NKEY_SEED" if has_seed else "NATS_NKEY_SEED (it is not set)"
        self._last = ""
        self._denial = ""
        self._denied_at = float("-inf")
        self.refused = asyncio.Event()
        self.closed = False

    @property
    def refusal(self) -> InvalidNatsUser:
        return InvalidNatsUser(f"NATS refuses the user {self._user}: check {self._variable}")

    @property
    def denial(self) -> str | None:
        """Readiness tells it for a minute: a permission that is missing will be missed again."""
        recent = time.monotonic() - self._denied_at < DENIAL_SHOWN_S
        return f"NATS denies the user {self._user}: {self._denial}" if recent else None

    async def on_error(self, error: Exception) -> None:
        metrics.nats_errors.labels(error=type(error).__name__).inc()
        text = str(error)
        if "permissions violation" in text.lower():
            metrics.nats_denials.inc()
            self._denial, self._denied_at = text, time.monotonic()
        elif "authorization violation" in text.lower():
            self.refused.set()
        if self.logs and repr(error) != self._last:  # while the broker is away the same one comes four times a second
            self._last = repr(error)
            log.warning("nats.error", error=repr(error))

    async def on_disconnected(self) -> None:
        metrics.nats_connected.set(0)
        if self.logs:
            log.warning("nats.disconnected")

    async def on_reconnected(self) -> None:
        self._last = ""
        metrics.nats_connected.set(1)
        metrics.nats_reconnects.inc()
        log.info("nats.reconnected")

    async def on_closed(self) -> None:
        self.closed = True


class Bus:
    """The connection, what is published on it, and whether it is there."""

    def __init__(self, connection: Link, subjects: Subjects, faults: Faults) -> None:
        self.connection = connection
        self.subjects = subjects
        self.js: JetStreamContext = connection.jetstream(timeout=CONNECT_ATTEMPT_TIMEOUT_S)
        self.publisher = Publisher(connection, subjects)
        self.bodies = Bodies(self.js, self.publisher, subjects)
        self.durability = Durability(connection, self.js, subjects)
        self._faults = faults

    async def problem(self) -> str | None:
        """For readiness: what is wrong, or None."""
        if self._faults.closed:
            return "connection to NATS is closed"
        if self._faults.refused.is_set():
            return str(self._faults.refusal)
        if not self.connection.is_connected:
            return "not connected to NATS"
        return self._faults.denial or await self.durability.problem()

    async def watch(self, stop: asyncio.Event) -> None:
        """A loop of every service. Raises what only a new process heals: InvalidNatsUser or ConnectionClosed."""
        while not await pause(stop, WATCH_EVERY_S):
            if self._faults.refused.is_set():
                raise self._faults.refusal
            if self._faults.closed:
                raise ConnectionClosed("the connection to NATS was closed for good")


@asynccontextmanager
async def open_bus(settings: ServiceSettings, service: Service) -> AsyncIterator[Bus]:
    """Also while the broker is away: then the bus has a problem, and connects as soon as it can.

    Raises InvalidNatsUser where the broker refuses the user, and InvalidConfiguration for an unknown FAILPOINT.
    """
    failpoints.arm(settings.failpoint)
    async with _open(settings, name=f"em-{service.folder}", user=service.name, stays=True) as bus:
        yield bus


@asynccontextmanager
async def open_operator(settings: ServiceSettings) -> AsyncIterator[Bus]:
    """For commands: says at once when the broker can't be reached (nats.errors.Error or OSError)."""
    async with _open(settings, name="em", user=OPERATOR, stays=False) as bus:
        yield bus


@asynccontextmanager
async def _open(settings: ServiceSettings, *, name: str, user: str, stays: bool) -> AsyncIterator[Bus]:
    faults = Faults(user, has_seed=bool(settings.nats_nkey_seed.get_secret_value()), logs=stays)
    link = Link()
    options = {
        "servers": settings.nats_url.split(","),
        "name": name,
        "inbox_prefix": f"_INBOX_{user}",
        "connect_timeout": CONNECT_ATTEMPT_TIMEOUT_S,
        "allow_reconnect": stays,
        "max_reconnect_attempts": -1 if stays else 1,  # to nats-py 0 means without end, too
        "reconnect_time_wait": RECONNECT_WAIT_S,
        "ping_interval": PING_INTERVAL_S,
        "max_outstanding_pings": 1,  # a link that carries nothing is noticed within two intervals
        "pending_size": PENDING_MAX_BYTES,
        "error_cb": faults.on_error,
        "disconnected_cb": faults.on_disconnected,
        "reconnected_cb": faults.on_reconnected,
        "closed_cb": faults.on_closed,
        **_credentials(settings),
    }
    connecting = asyncio.create_task(_connect(link, options))
    try:
        await _begin(connecting, faults, within_s=HEAD_START_S if stays else None)
        yield Bus(link, Subjects(settings.nats_prefix), faults)
    finally:
        connecting.cancel()
        await asyncio.wait([connecting])
        faults.logs = False
        await _close(link)


async def _connect(link: Link, options: dict[str, Any]) -> None:
    await link.connect(**options)
    link.begun = True
    metrics.nats_connected.set(1)


async def _begin(connecting: "asyncio.Task[None]", faults: Faults, *, within_s: float | None) -> None:
    refused = asyncio.create_task(faults.refused.wait())
    await asyncio.wait([connecting, refused], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    refused.cancel()
    if faults.refused.is_set():
        raise faults.refusal
    if connecting.done():
        connecting.result()


def _credentials(settings: ServiceSettings) -> dict[str, str]:
    seed = settings.nats_nkey_seed.get_secret_value()
    if not seed:
        return {}
    import nkeys

    try:
        nkeys.from_seed(seed.encode())
    except (nkeys.NkeysError, ValueError) as error:
        raise InvalidNatsUser("NATS_NKEY_SEED is not an nkey seed (SU…)") from error
    return {"nkeys_seed_str": seed}


async def _close(link: Link) -> None:
    """Acknowledgements are fire and forget: flush them, else the last ones are lost."""
    if link.is_connected:
        try:
            await link.flush(timeout=2)
        except (nats.errors.Error, OSError) as error:
            log.warning("nats.flush_failed", error=repr(error))
    if not link.is_closed:
        await link.close()
