"""`em provision`: streams, durable consumers and the proof of durability, as the contracts declare them.

Idempotent; it never deletes. A durable that vanished is made anew behind what it had acknowledged when it was seen
last, so that nothing is skipped; what comes twice by that, the inboxes absorb.
"""

from collections.abc import Callable
from datetime import datetime

import msgspec
import nats.js.errors
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    ConsumerInfo,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamInfo,
)
from nats.js.errors import NotFoundError
from nats.js.kv import KeyValue

from shared.bus import durability
from shared.bus.connection import Bus
from shared.bus.durability import Proof
from shared.contracts.streams import BODIES_MAX_AGE, BODIES_MAX_BYTES, DURABLES, STREAMS, Durable, Stream
from shared.contracts.subjects import Subjects

SERVER_VERSION_MIN = (2, 12)

Progress = Callable[[str], None]


class ServerTooOld(RuntimeError):
    """Older servers accept our settings and silently do something else."""


class Floor(msgspec.Struct, frozen=True, kw_only=True):
    """Up to where a durable had acknowledged; of no use for a stream that was made anew since."""

    stream_made_at: datetime | None
    sequence: int


async def provision(bus: Bus, proof: Proof, *, progress: Progress = print) -> list[str]:
    """Returns what had to be made. Raises ServerTooOld, or nats.errors.Error where the broker refuses."""
    check_version(bus.connection.connected_server_version)
    await durability.record(bus.js, bus.subjects, proof)
    progress(f"durability {proof.how}" + (f" by {', '.join(proof.servers)}" if proof.servers else ""))
    bucket = await bus.js.key_value(bus.subjects.durability_bucket)
    made: list[str] = []
    infos: dict[str, StreamInfo] = {}
    for stream in STREAMS:
        name = bus.subjects.stream(stream.name)
        infos[stream.name], is_new = await _make_stream(bus.js, stream, bus.subjects)
        made += [f"stream {name}"] if is_new else []
        progress(f"stream {name}")
    bucket_is_new = await _make_bodies(bus.js, bus.subjects)
    made += [f"bucket {bus.subjects.bodies_bucket}"] if bucket_is_new else []
    progress(f"bucket {bus.subjects.bodies_bucket}")
    for durable in DURABLES:
        name = f"consumer {durable.name} of {bus.subjects.stream(durable.stream)}"
        is_new = await _make_durable(bus.js, bucket, durable, infos[durable.stream], bus.subjects)
        made += [name] if is_new else []
        progress(name)
    return made


def check_version(version: object) -> None:
    major, minor = getattr(version, "major", 0), getattr(version, "minor", 0)
    if (major, minor) < SERVER_VERSION_MIN:
        raise ServerTooOld(f"NATS server {major}.{minor} is too old: 2.12 or newer is needed")


def stream_config(stream: Stream, subjects: Subjects) -> StreamConfig:
    return StreamConfig(
        name=subjects.stream(stream.name),
        subjects=[subjects.pattern(subject) for subject in stream.subjects],
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_age=stream.max_age.total_seconds(),
        max_bytes=stream.max_bytes,
        duplicate_window=stream.duplicate_window.total_seconds(),
        allow_atomic=stream.allow_atomic,
    )


def durable_config(durable: Durable, subjects: Subjects) -> ConsumerConfig:
    return ConsumerConfig(
        name=durable.name,
        durable_name=durable.name,
        deliver_policy=DeliverPolicy.NEW if durable.new_only else DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=durable.ack_wait.total_seconds(),
        max_deliver=-1,  # only the bus gives up: a server-side limit makes messages vanish without a dead letter
        max_ack_pending=durable.ack_pending_max,
        filter_subjects=[subjects.pattern(pattern) for pattern in durable.filters],
    )


async def _make_stream(js: JetStreamContext, stream: Stream, subjects: Subjects) -> tuple[StreamInfo, bool]:
    config = stream_config(stream, subjects)
    try:
        await js.stream_info(subjects.stream(stream.name))
    except NotFoundError:
        return await js.add_stream(config), True
    return await js.update_stream(config), False


async def _make_bodies(js: JetStreamContext, subjects: Subjects) -> bool:
    config = StreamConfig(
        name=subjects.bodies_stream,
        subjects=[f"$O.{subjects.bodies_bucket}.C.>", f"$O.{subjects.bodies_bucket}.M.>"],
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_age=BODIES_MAX_AGE.total_seconds(),
        max_bytes=BODIES_MAX_BYTES,
        allow_rollup_hdrs=True,
        allow_direct=True,
    )
    try:
        await js.stream_info(subjects.bodies_stream)
    except NotFoundError:
        await js.add_stream(config)
        return True
    await js.update_stream(config)
    return False


async def _make_durable(
    js: JetStreamContext, bucket: KeyValue, durable: Durable, stream: StreamInfo, subjects: Subjects
) -> bool:
    """True when it was not there. One that is there keeps its place; only filters and limits follow the contract."""
    name = subjects.stream(durable.stream)
    config = durable_config(durable, subjects)
    try:
        info = await js.consumer_info(name, durable.name)
    except NotFoundError:
        floor = await _floor(bucket, durable)
        if floor and floor.stream_made_at == stream.created:
            config.deliver_policy, config.opt_start_seq = DeliverPolicy.BY_START_SEQUENCE, floor.sequence + 1
        elif floor:  # the stream is new, and everything in it as well
            config.deliver_policy = DeliverPolicy.ALL
        await js.add_consumer(name, config=config)
        return True
    config.deliver_policy, config.opt_start_seq = info.config.deliver_policy, info.config.opt_start_seq
    await js.add_consumer(name, config=config)
    await _note_floor(bucket, durable, stream, info)
    return False


async def _floor(bucket: KeyValue, durable: Durable) -> Floor | None:
    try:
        entry = await bucket.get(_key(durable))
    except nats.js.errors.KeyNotFoundError:
        return None
    return msgspec.json.decode(entry.value or b"", type=Floor)


async def _note_floor(bucket: KeyValue, durable: Durable, stream: StreamInfo, info: ConsumerInfo) -> None:
    sequence = info.ack_floor.stream_seq if info.ack_floor else 0
    floor = Floor(stream_made_at=stream.created, sequence=sequence)
    if await _floor(bucket, durable) != floor:
        await bucket.put(_key(durable), msgspec.json.encode(floor))


def _key(durable: Durable) -> str:
    return f"floor.{durable.stream}.{durable.name}"
