"""Publishing with an acknowledgement from disk."""

import asyncio
import time
from collections.abc import Sequence

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import PubAck

from shared.contracts.envelope import TRACEPARENT, Outgoing
from shared.telemetry import metrics, tracing

HEADER_RESERVE_BYTES = 4096
RECONNECT_POLL_S = 0.05


class PublishError(Exception):
    """A message is not known to be stored.

    PublishError
    ├── PublishUnknown    no answer: it may be stored or not; repeat under the same id
    ├── PublishRefused    the broker said no (stream full, no stream): nothing is stored, a repeat may be
    └── PublishRejected   this message will never be taken
        └── FrameTooLarge
    """


class PublishUnknown(PublishError): ...


class PublishRefused(PublishError): ...


class PublishRejected(PublishError): ...


class FrameTooLarge(PublishRejected):
    """Body and headers exceed what the server takes; sending it would close the connection for good."""


class Publisher:
    """Publishes on one connection; repeats of an id are stored once within the stream's duplicate window."""

    def __init__(self, connection: Client, js: JetStreamContext) -> None:
        self._connection = connection
        self._js = js

    @property
    def frame_max_bytes(self) -> int:
        """Body and headers together; before the first connection, what servers take unless told otherwise."""
        return int(self._connection.max_payload) - HEADER_RESERVE_BYTES

    @property
    def body_max_bytes(self) -> int:
        """A body of this size fits with its headers."""
        return self.frame_max_bytes - HEADER_RESERVE_BYTES

    async def publish(self, message: Outgoing, *, timeout_s: float) -> PubAck:
        """Raises PublishUnknown, PublishRefused or FrameTooLarge."""
        started = time.perf_counter()
        [ack] = await self.publish_all([message], timeout_s=timeout_s)
        metrics.publish_duration.observe(time.perf_counter() - started)
        return ack

    async def publish_all(self, messages: Sequence[Outgoing], *, timeout_s: float) -> list[PubAck]:
        """Acknowledgements in order, all in flight at once. Raises as `publish` for the first that failed."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._until_connected()
                futures = [await self._send(message) for message in messages]
                return list(await asyncio.gather(*futures))
        except TimeoutError:
            raise PublishUnknown(f"no acknowledgement within {timeout_s} s") from None
        except (nats.js.errors.APIError, nats.js.errors.NoStreamResponseError) as error:
            raise PublishRefused(str(error)) from None
        except (nats.errors.Error, OSError) as error:
            raise PublishUnknown(repr(error)) from None

    async def _until_connected(self) -> None:
        """nats-py keeps a slot for ever for each message that it could not even buffer: so none is offered then."""
        while not self._connection.is_connected:
            await asyncio.sleep(RECONNECT_POLL_S)

    async def _send(self, message: Outgoing) -> asyncio.Future[PubAck]:
        headers = {TRACEPARENT: tracing.current(), **message.headers}
        size = len(message.body) + sum(len(name) + len(value) + 4 for name, value in headers.items())
        if size > self.frame_max_bytes:
            raise FrameTooLarge(f"{size} bytes with headers, the server takes {self.frame_max_bytes}")
        return await self._js.publish_async(
            message.subject, message.body, headers={name: value for name, value in headers.items() if value}
        )
