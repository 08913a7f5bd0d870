"""`em provision`: streams and durable consumers as the contracts declare them. Idempotent; it never deletes."""

from collections.abc import Callable

import nats
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import NotFoundError

from shared.contracts.streams import DURABLES, STREAMS, Durable, Stream
from shared.contracts.subjects import Subjects

SERVER_VERSION_MIN = (2, 12)

Progress = Callable[[str], None]


class ServerTooOld(RuntimeError):
    """Older servers accept our settings and silently do something else."""


async def provision(nats_url: str, subjects: Subjects, *, progress: Progress = print) -> None:
    """Raises ServerTooOld, or nats.errors.Error where the broker can't be reached or refuses."""
    connection = await nats.connect(nats_url.split(","), name="em-provision", max_reconnect_attempts=3)
    try:
        check_version(connection.connected_server_version)
        js = connection.jetstream()
        for stream in STREAMS:
            await _make_stream(js, stream, subjects)
            progress(f"stream {subjects.stream(stream.name)}")
        for durable in DURABLES:
            await _make_durable(js, durable, subjects)
            progress(f"consumer {durable.name} of {subjects.stream(durable.stream)}")
    finally:
        await connection.close()


def check_version(version: object) -> None:
    major, minor = getattr(version, "major", 0), getattr(version, "minor", 0)
    if (major, minor) < SERVER_VERSION_MIN:
        raise ServerTooOld(f"NATS server {major}.{minor} is too old: 2.12 or newer is needed")


async def _make_stream(js: JetStreamContext, stream: Stream, subjects: Subjects) -> None:
    config = StreamConfig(
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
    try:
        await js.stream_info(subjects.stream(stream.name))
    except NotFoundError:
        await js.add_stream(config)
    else:
        await js.update_stream(config)


async def _make_durable(js: JetStreamContext, durable: Durable, subjects: Subjects) -> None:
    """A consumer that exists keeps its place; only filters and limits follow the contract."""
    stream = subjects.stream(durable.stream)
    config = ConsumerConfig(
        name=durable.name,
        durable_name=durable.name,
        deliver_policy=DeliverPolicy.NEW if durable.new_only else DeliverPolicy.ALL,
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=durable.ack_wait.total_seconds(),
        max_deliver=-1,  # only the bus gives up: a server-side limit makes messages vanish without a dead letter
        max_ack_pending=durable.ack_pending_max,
        filter_subjects=[subjects.pattern(pattern) for pattern in durable.filters],
    )
    await js.add_consumer(stream, config=config)
