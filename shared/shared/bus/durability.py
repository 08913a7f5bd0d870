"""The proof that an acknowledgement means fsynced: recorded by `em provision`, read by every service (law 1).

A server shows `sync_always` nowhere but at its monitoring endpoint, which services can't reach: so whoever provisions
looks there, and writes down what was seen.
"""

import asyncio
import time
from datetime import datetime
from typing import Literal

import msgspec
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import KeyValueConfig, StorageType

from shared.contracts.subjects import Subjects
from shared.telemetry import logs

log = logs.get(__name__)

LOOK_AGAIN_S = 30.0
LOOK_AGAIN_WITHOUT_PROOF_S = 1.0
KEY = "proof"
NOT_PROVEN = "nothing proves that NATS fsyncs before it acknowledges: run em provision"


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """`proven`: read from the servers; `attested`: the operator's word (`NATS_DURABILITY=attested`)."""

    how: Literal["proven", "attested"]
    checked_at: datetime
    servers: tuple[str, ...] = ()


async def record(js: JetStreamContext, subjects: Subjects, proof: Proof) -> None:
    """For the operator; makes the bucket where there is none."""
    config = KeyValueConfig(bucket=subjects.durability_bucket, history=1, storage=StorageType.FILE, direct=True)
    try:
        bucket = await js.key_value(subjects.durability_bucket)
    except nats.js.errors.BucketNotFoundError:
        bucket = await js.create_key_value(config)
    await bucket.put(KEY, msgspec.json.encode(proof))


async def read(js: JetStreamContext, subjects: Subjects) -> Proof | None:
    """None where nothing was recorded. Raises what the connection raises."""
    subject = f"$KV.{subjects.durability_bucket}.{KEY}"
    try:
        message = await js.get_last_msg(subjects.durability_stream, subject, direct=True)
    except (nats.js.errors.NotFoundError, nats.js.errors.ServiceUnavailableError, nats.errors.NoRespondersError):
        return None
    try:
        return msgspec.json.decode(message.data or b"", type=Proof)
    except msgspec.DecodeError:
        return None


class Durability:
    """Whether the broker's acknowledgement may be believed; asked often, looked up rarely."""

    def __init__(self, connection: Client, js: JetStreamContext, subjects: Subjects) -> None:
        self._connection = connection
        self._js = js
        self._subjects = subjects
        self._look_at = 0.0
        self._looking = asyncio.Lock()
        self.proof: Proof | None = None

    async def problem(self) -> str | None:
        """None once proven. While the broker is away, what was seen last holds; who asks meanwhile waits."""
        if time.monotonic() >= self._look_at and self._connection.is_connected:
            async with self._looking:
                if time.monotonic() >= self._look_at:
                    await self._look()
        return None if self.proof else NOT_PROVEN

    async def _look(self) -> None:
        try:
            self.proof = await read(self._js, self._subjects)
        except (nats.errors.Error, TimeoutError, OSError) as error:
            log.warning("durability.unread", error=repr(error))
        self._look_at = time.monotonic() + (LOOK_AGAIN_S if self.proof else LOOK_AGAIN_WITHOUT_PROOF_S)
