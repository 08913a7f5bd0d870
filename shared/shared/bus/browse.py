"""Looking into streams without consuming them: for the reconciler and the operator's commands."""

import re
from datetime import UTC, datetime

import msgspec
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, RawStreamMsg
from nats.js.errors import NotFoundError

from shared.bus.connection import Bus
from shared.contracts.envelope import MESSAGE_ID, own_headers
from shared.contracts.streams import Durable
from shared.contracts.subjects import Subjects

FETCH = 500
FETCH_TIMEOUT_S = 5


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """A message as its stream holds it."""

    sequence: int
    subject: str
    headers: dict[str, str]
    body: bytes
    stored_at: datetime


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Sequences [first, last]; `made_at` is when the stream was: one that was made again counts from 1 again."""

    first: int
    last: int
    made_at: datetime


async def stored(bus: Bus, stream: str, sequence: int) -> Stored | None:
    """None where nothing is (any more). `stream` is a contract's name."""
    try:
        message = await bus.js.get_msg(bus.subjects.stream(stream), sequence)
    except NotFoundError:
        return None
    return _stored(message)


async def newest(bus: Bus, stream: str, subject: str) -> Stored | None:
    """The last message on a subject; None where the stream holds none (any more)."""
    try:
        message = await bus.js.get_last_msg(bus.subjects.stream(stream), subject)
    except NotFoundError:
        return None
    return _stored(message)


async def remove(bus: Bus, stream: str, sequence: int) -> None:
    await bus.js.delete_msg(bus.subjects.stream(stream), sequence)


async def span(bus: Bus, stream: str) -> Span:
    """All that the stream holds."""
    info = await bus.js.stream_info(bus.subjects.stream(stream))
    made_at = info.created or datetime.min.replace(tzinfo=UTC)
    return Span(first=max(info.state.first_seq, 1), last=info.state.last_seq, made_at=made_at)


async def acknowledged(bus: Bus, durable: Durable) -> Span:
    """What the durable has acknowledged without a gap and the stream still holds."""
    whole = await span(bus, durable.stream)
    info = await bus.js.consumer_info(bus.subjects.stream(durable.stream), durable.name)
    return msgspec.structs.replace(whole, last=info.ack_floor.stream_seq if info.ack_floor else 0)


async def unacknowledged(js: JetStreamContext, subjects: Subjects, durable: Durable) -> int:
    """Messages that the durable has still to take or acknowledge; at least 1 where the stream holds a newer one.

    The server tells a consumer of a message after it acknowledged its publication: for a moment `num_pending` is 0.
    """
    stream = subjects.stream(durable.stream)
    info = await js.consumer_info(stream, durable.name)
    if left := (info.num_pending or 0) + (info.num_ack_pending or 0):
        return left
    delivered = info.delivered.stream_seq if info.delivered else 0
    return int(any([await _newest(js, stream, subjects.pattern(each)) > delivered for each in durable.filters]))


async def _newest(js: JetStreamContext, stream: str, pattern: str) -> int:
    try:
        return (await js.get_last_msg(stream, pattern)).seq or 0
    except NotFoundError:
        return 0


async def message_ids(bus: Bus, stream: str, *, since: datetime) -> set[str]:
    """`Nats-Msg-Id` of all that was stored since then."""
    name = bus.subjects.stream(stream)
    config = ConsumerConfig(
        ack_policy=AckPolicy.NONE,
        deliver_policy=DeliverPolicy.BY_START_TIME,
        opt_start_time=since.isoformat(),  # type: ignore[arg-type]  # the server takes RFC 3339, the hint says int
        headers_only=True,
        inactive_threshold=30,
    )
    info = await bus.js.add_consumer(name, config=config)
    subscription = await bus.js.pull_subscribe_bind(consumer=info.name, stream=name)
    ids: set[str] = set()
    left = info.num_pending or 0
    while left > 0:
        try:
            messages = await subscription.fetch(min(FETCH, left), timeout=FETCH_TIMEOUT_S)
        except (TimeoutError, NatsTimeout):
            break
        ids |= {(message.headers or {}).get(MESSAGE_ID, "") for message in messages}
        left -= len(messages)
    await subscription.unsubscribe()
    return ids


def _stored(message: RawStreamMsg) -> Stored:
    return Stored(
        sequence=message.seq or 0,
        subject=message.subject or "",
        headers=own_headers(message.headers),
        body=message.data or b"",
        stored_at=_time(message.time),
    )


def _time(value: object) -> datetime:
    """JetStream gives nanoseconds; datetime takes six digits."""
    if isinstance(value, datetime):
        return value
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", str(value)).replace("Z", "+00:00"))
