"""Accepted means kept: on the broker's disk, or on ours while the broker does not acknowledge (law 1).

A delivery is offered to the broker under one id until the sender's own limit, less half a second, is over; then it is
appended to the spool. Once that happened, whoever comes next goes to the spool at once, until a record from it was
acknowledged: then the broker is back.
"""

import asyncio
import time
from typing import Literal

import msgspec

from ingest.spool import Spool, SpoolBroken, SpoolFull
from shared.bus import Bus
from shared.bus.errors import PublishError, PublishRefused, PublishRejected, PublishUnknown
from shared.bus.publisher import Ack
from shared.contracts.envelope import EM_OBJECT, EM_SIZE, Outgoing
from shared.contracts.streams import BODY_INLINE_MAX_BYTES
from shared.telemetry import logs

log = logs.get(__name__)

ATTEMPT_S = 2.0
ATTEMPT_LARGE_S = 8.0
REFUSED_PAUSE_S = 0.2
DRAIN_TIMEOUT_S = 10.0

Mode = Literal["durable", "spooling", "refusing"]


class NotKept(Exception):
    """Not known to be on any disk."""


class Unproven(PublishRefused):
    """Nothing proves that the broker's acknowledgement means fsynced: it is not believed."""


class Keeper:
    """`spool` None: nowhere to go while the broker is away."""

    def __init__(self, bus: Bus, spool: Spool | None) -> None:
        self._bus = bus
        self._spool = spool
        self._away = bool(spool and spool.records)
        self._full = False
        self._refusals = 0

    @property
    def mode(self) -> Mode:
        """What would become of the next delivery."""
        if not self._away:
            return "durable"
        return "refusing" if self._full else "spooling"

    async def problem(self) -> str | None:
        """For readiness: a reason why deliveries are refused, or None; spooling is no reason."""
        if self.mode == "refusing":
            return "the broker is away, and the spool takes no more"
        if self.mode == "spooling" or (self._spool and not self._bus.connection.is_connected):
            return None
        return await self._bus.problem()

    async def keep(self, message: Outgoing, *, deadline: float, spools: bool) -> bool:
        """Whether the broker had it already. `deadline` is on the monotonic clock. Raises NotKept."""
        may_spool = spools and self._spool is not None
        if not (self._away and may_spool):
            try:
                return (await self._offer(message, deadline)).duplicate
            except PublishError as error:
                if not may_spool or isinstance(error, Unproven):
                    raise NotKept(str(error)) from None
                self._went_away(error)
        await self._append(message)
        return False

    async def publish(self, message: Outgoing) -> Ack:
        """For the drain. Raises PublishError."""
        ack = await self._publish(message, timeout_s=DRAIN_TIMEOUT_S)
        self._came_back()
        return ack

    def _went_away(self, error: PublishError) -> None:
        """Not for a message that the broker would never take: that one goes where it can be looked at."""
        if not self._away and not isinstance(error, PublishRejected):
            self._away = True
            log.warning("broker.away", reason=str(error), mode=self.mode)

    def _came_back(self) -> None:
        if self._away:
            self._away = False
            log.info("broker.back", mode=self.mode)

    async def _offer(self, message: Outgoing, deadline: float) -> Ack:
        """The same id again and again until it is acknowledged. Raises PublishError when the time is over."""
        while True:
            attempt_s = ATTEMPT_LARGE_S if len(message.body) > BODY_INLINE_MAX_BYTES else ATTEMPT_S
            try:
                ack = await self._publish(message, timeout_s=min(attempt_s, deadline - time.monotonic()))
            except (PublishRejected, Unproven):
                raise
            except PublishRefused:
                if time.monotonic() + REFUSED_PAUSE_S >= deadline:
                    raise
                await asyncio.sleep(REFUSED_PAUSE_S)
            except PublishUnknown:
                if time.monotonic() >= deadline:
                    raise
            else:
                self._came_back()
                return ack

    async def _publish(self, message: Outgoing, *, timeout_s: float) -> Ack:
        if not self._bus.durability.proof and self._bus.connection.is_connected:
            problem = await self._bus.durability.problem()
            if problem:
                raise Unproven(problem)
        return await with_claim_check(self._bus, message, timeout_s=timeout_s)

    async def _append(self, message: Outgoing) -> None:
        assert self._spool is not None  # noqa: S101  # `keep` asked
        refusals = self._refusals
        try:
            await self._spool.append(message)
        except (SpoolFull, SpoolBroken) as error:
            self._full = True
            self._refusals += 1
            raise NotKept(str(error) or type(error).__name__) from None
        if self._refusals == refusals:  # else somebody who came later found no room
            self._full = False


async def with_claim_check(bus: Bus, message: Outgoing, *, timeout_s: float) -> Ack:
    """Published; a large body goes to the bucket first, and the message names it. Raises PublishError."""
    if len(message.body) > BODY_INLINE_MAX_BYTES:
        name = await bus.bodies.put(message.body, timeout_s=timeout_s)
        headers = {**message.headers, EM_OBJECT: name, EM_SIZE: str(len(message.body))}
        message = msgspec.structs.replace(message, body=b"", headers=headers)
    return await bus.publisher.publish(message, timeout_s=timeout_s)
