"""The claim check: a body that is too large for a message goes to the Object Store first, the message names it.

The bucket's format is that of NATS (`nats object get` reads it). Each body has a name of its own that is never used
again, nothing collects, and the bucket forgets later than RAW does. Chunks are read by direct gets: an ordered consumer
never notices that its heartbeat stopped (nats.py #510).
"""

import base64
import hashlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import msgspec
import nats.errors
import nats.js.errors
from nats.js import JetStreamContext

from shared.bus.publisher import Publisher
from shared.contracts.envelope import MESSAGE_ID, Outgoing
from shared.contracts.subjects import Subjects

CHUNK_BYTES = 256 * 1024
CHUNKS_AT_ONCE = 8


class BodyLost(Exception):
    """The bucket does not hold what the message names, or not the bytes that were put: reading again won't help."""


class _Info(msgspec.Struct):
    """What the Object Store keeps of an object."""

    name: str
    bucket: str
    nuid: str
    size: int
    mtime: str
    chunks: int
    digest: str


class Bodies:
    """Large bodies of one prefix."""

    def __init__(self, js: JetStreamContext, publisher: Publisher, subjects: Subjects) -> None:
        self._js = js
        self._publisher = publisher
        self._bucket = subjects.bodies_bucket
        self._stream = subjects.bodies_stream

    async def put(self, body: bytes, *, timeout_s: float) -> str:
        """Returns its name once it is on disk. Raises PublishError."""
        deadline = time.monotonic() + timeout_s
        name = uuid4().hex
        chunks = range(0, len(body), CHUNK_BYTES)
        messages = [self._chunk(name, number, body[first : first + CHUNK_BYTES]) for number, first in enumerate(chunks)]
        for first in range(0, len(messages), CHUNKS_AT_ONCE):
            await self._publisher.publish_all(
                messages[first : first + CHUNKS_AT_ONCE], timeout_s=deadline - time.monotonic()
            )
        await self._publisher.publish(self._meta(name, body, len(messages)), timeout_s=deadline - time.monotonic())
        return name

    async def get(self, name: str, *, sha256: str) -> bytes:
        """The bytes, checked. Raises BodyLost, or what the connection raises."""
        try:
            info = await self._info(name)
            body = b"".join([chunk async for chunk in self._chunks(info)])
        except nats.js.errors.NotFoundError:
            raise BodyLost(f"the body {name} is not in {self._bucket}") from None
        if hashlib.sha256(body).hexdigest() != sha256:
            raise BodyLost(f"the body {name} is not what was put")
        return body

    def _chunk(self, name: str, number: int, part: bytes) -> Outgoing:
        headers = {MESSAGE_ID: f"{name}:{number}"}
        return Outgoing(subject=f"$O.{self._bucket}.C.{name}", body=part, headers=headers)

    def _meta(self, name: str, body: bytes, chunks: int) -> Outgoing:
        digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode()
        mtime = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        info = _Info(name, self._bucket, name, len(body), mtime, chunks, f"SHA-256={digest}")
        headers = {MESSAGE_ID: f"{name}:meta", "Nats-Rollup": "sub"}
        return Outgoing(subject=self._meta_subject(name), body=msgspec.json.encode(info), headers=headers)

    def _meta_subject(self, name: str) -> str:
        return f"$O.{self._bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"

    async def _info(self, name: str) -> _Info:
        message = await self._js.get_last_msg(self._stream, self._meta_subject(name), direct=True)
        try:
            return msgspec.json.decode(message.data or b"", type=_Info)
        except msgspec.DecodeError:
            raise BodyLost(f"the entry of body {name} can't be read") from None

    async def _chunks(self, info: _Info) -> AsyncIterator[bytes]:
        sequence = 1
        for _ in range(info.chunks):
            message = await self._js.get_msg(
                self._stream, seq=sequence, subject=f"$O.{self._bucket}.C.{info.nuid}", direct=True, next=True
            )
            sequence = (message.seq or 0) + 1
            yield message.data or b""
