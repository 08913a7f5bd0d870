"""Publishing with an acknowledgement from disk."""

import asyncio
import time
from collections.abc import Sequence

import nats.errors

from shared.bus.acks import Ack, Acks
from shared.bus.commits import Commits, Publication
from shared.bus.errors import FrameTooLarge, PublishError, PublishRefused, PublishRejected, PublishUnknown
from shared.bus.frames import header_block
from shared.bus.link import Link
from shared.contracts.envelope import TRACEPARENT, Outgoing
from shared.contracts.streams import STREAMS
from shared.contracts.subjects import Subjects
from shared.telemetry import metrics, tracing

__all__ = ["Ack", "FrameTooLarge", "PublishError", "PublishRefused", "PublishRejected", "PublishUnknown", "Publisher"]

FRAME_RESERVE_BYTES = 4096  # what we add to a frame behind its size check: a batch's marks
HEADERS_MAX_BYTES = 8192
RECONNECT_POLL_S = 0.05


class Publisher:
    """Publishes on one connection; repeats of an id are stored once within the stream's duplicate window.

    `groups` False sends every message alone, also where its stream takes atomic batches.
    """

    def __init__(self, link: Link, subjects: Subjects, *, groups: bool = True) -> None:
        self._link = link
        self._acks = Acks(link)
        self._grouped = {stream.subjects[0].partition(".")[0] for stream in STREAMS if stream.allow_atomic and groups}
        self._prefix = f"{subjects.prefix}."
        self._commits: dict[str, Commits] = {}

    @property
    def frame_max_bytes(self) -> int:
        """Body and headers together; before the first connection, what servers take unless told otherwise."""
        return int(self._link.max_payload) - FRAME_RESERVE_BYTES

    @property
    def body_max_bytes(self) -> int:
        """A body of this size fits with its headers."""
        return self.frame_max_bytes - HEADERS_MAX_BYTES

    async def publish(self, message: Outgoing, *, timeout_s: float) -> Ack:
        """Raises PublishUnknown, PublishRefused or FrameTooLarge."""
        started = time.monotonic()
        deadline = started + timeout_s
        block = self._block(message)
        await self._until_connected(deadline)
        answer = await self._send(message, block, deadline)
        metrics.publish_duration.observe(time.monotonic() - started)
        if isinstance(answer, PublishError):
            raise answer
        return answer

    async def publish_all(self, messages: Sequence[Outgoing], *, timeout_s: float) -> list[Ack]:
        """Acknowledgements in order, all in flight at once. Raises as `publish` for the first that failed."""
        started = time.monotonic()
        deadline = started + timeout_s
        blocks = [self._block(message) for message in messages]
        await self._until_connected(deadline)
        futures = [self._send(message, block, deadline) for message, block in zip(messages, blocks, strict=True)]
        try:
            answers = [await future for future in futures]
        finally:
            for future in futures:
                future.cancel()
        metrics.publish_duration.observe(time.monotonic() - started)
        for answer in answers:
            if isinstance(answer, PublishError):
                raise answer
        return answers  # type: ignore[return-value]  # the errors were raised

    async def _until_connected(self, deadline: float) -> None:
        """What is offered while the link is away may be sent or not: so nothing is."""
        if self._acks.is_open and self._link.is_connected:
            return
        while not (self._link.is_connected and self._link.begun):
            if time.monotonic() >= deadline:
                raise PublishUnknown("not connected to NATS")
            await asyncio.sleep(RECONNECT_POLL_S)
        try:
            await self._acks.open()
        except (nats.errors.Error, OSError) as error:
            raise PublishUnknown(repr(error)) from None

    def _block(self, message: Outgoing) -> bytes:
        headers = message.headers
        if TRACEPARENT not in headers:
            headers = {TRACEPARENT: tracing.current(), **headers}
        block = header_block(headers)
        size = len(message.body) + len(block)
        if size > self.frame_max_bytes:
            raise FrameTooLarge(f"{size} bytes with headers, the server takes {self.frame_max_bytes}")
        return block

    def _send(self, message: Outgoing, block: bytes, deadline: float) -> "asyncio.Future[Ack | PublishError]":
        future: asyncio.Future[Ack | PublishError] = asyncio.get_running_loop().create_future()
        self._commits_of(message.subject).add(
            Publication(
                subject=message.subject,
                block=block,
                body=message.body,
                id=message.message_id,
                deadline=deadline,
                answer=future,
            )
        )
        return future

    def _commits_of(self, subject: str) -> Commits:
        """By the first word below the prefix, which names the stream."""
        word = subject.removeprefix(self._prefix).partition(".")[0] if subject.startswith(self._prefix) else ""
        if word not in self._commits:
            self._commits[word] = Commits(self._link, self._acks, groups=word in self._grouped)
        return self._commits[word]
