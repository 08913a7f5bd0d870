"""Messages on the wire: headers, the raw delivery, and events as CloudEvents 1.0 (binary mode, JSON body)."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache

import msgspec

from shared.contracts.events import KINDS, Bulletin, Event, Nudge, Reply
from shared.contracts.subjects import UNKNOWN, Subjects

MESSAGE_ID = "Nats-Msg-Id"
TRACEPARENT = "traceparent"

EM_SOURCE = "Em-Source"
EM_EVENT = "Em-Event"
EM_DELIVERY = "Em-Delivery"
EM_RECEIVED = "Em-Received"
EM_ORIGIN = "Em-Origin"
EM_SHA256 = "Em-Sha256"
EM_CONTENT_TYPE = "Em-Content-Type"
EM_TIMESTAMP = "Em-Signature-Timestamp"  # what a person's click is checked with again
EM_SIGNATURE = "Em-Signature"
EM_SENT = "Em-Sent"  # the sender's own time, in its own spelling, where it stands in a header
EM_NAME = "Em-Name"  # which sender, of a source that has many: its configured name, or what its proof says (JSON)
EM_OBJECT = "Em-Object"  # where the body is, when it is not in the message
EM_SIZE = "Em-Size"  # of that body, in bytes

CE_TYPE = "ce-type"

DEAD_REASON = "Em-Dead-Reason"
DEAD_SUBJECT = "Em-Dead-Subject"
DEAD_CONSUMER = "Em-Dead-Consumer"
DEAD_STREAM = "Em-Dead-Stream"  # as the contracts name it, without prefix
DEAD_SEQUENCE = "Em-Dead-Sequence"
DEAD_ID = "Em-Dead-Id"  # its `Nats-Msg-Id`
DEAD_TRIES = "Em-Dead-Tries"
DEAD_REPLAYS = "Em-Dead-Replays"  # how often a person had it tried again


def own_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    """Without the marks of the batch that a message came in: published again, it is in none."""
    return {name: value for name, value in (headers or {}).items() if not name.startswith("Nats-Batch-")}


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message to publish; `headers` hold its `Nats-Msg-Id`."""

    subject: str
    body: bytes
    headers: dict[str, str]

    @property
    def message_id(self) -> str:
        return self.headers[MESSAGE_ID]


class RawDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """One HTTP request of a source as it came: `body` is the exact bytes, `event` the platform's own event name.

    `object` names the body in the Object Store where it was too large for the message.
    """

    source: str
    event: str
    delivery: str
    sha256: str
    received_at: datetime
    body: bytes
    origin: str = "live"
    content_type: str = ""
    timestamp: str = ""
    signature: str = ""
    sent: str = ""
    name: str = ""
    object: str = ""
    sequence: int = 0

    def headers(self) -> dict[str, str]:
        named = {
            EM_SOURCE: self.source,
            EM_EVENT: self.event,
            EM_DELIVERY: self.delivery,
            EM_RECEIVED: rfc3339(self.received_at),
            EM_ORIGIN: self.origin,
            EM_SHA256: self.sha256,
            EM_CONTENT_TYPE: self.content_type,
            EM_TIMESTAMP: self.timestamp,
            EM_SIGNATURE: self.signature,
            EM_SENT: self.sent,
            EM_NAME: self.name,
        }
        return {name: value for name, value in named.items() if value}


class UnreadableMessage(ValueError):
    """A message whose headers or body are not what its stream promises."""


def read_delivery(headers: Mapping[str, str], body: bytes, *, sequence: int) -> RawDelivery:
    """Raises UnreadableMessage when a header is missing or malformed."""
    try:
        return RawDelivery(
            source=headers[EM_SOURCE],
            event=headers.get(EM_EVENT, ""),
            delivery=headers[EM_DELIVERY],
            sha256=headers[EM_SHA256],
            received_at=datetime.fromisoformat(headers[EM_RECEIVED]),
            origin=headers.get(EM_ORIGIN, "live"),
            content_type=headers.get(EM_CONTENT_TYPE, ""),
            timestamp=headers.get(EM_TIMESTAMP, ""),
            signature=headers.get(EM_SIGNATURE, ""),
            sent=headers.get(EM_SENT, ""),
            name=headers.get(EM_NAME, ""),
            object=headers.get(EM_OBJECT, ""),
            body=body,
            sequence=sequence,
        )
    except KeyError as missing:
        raise UnreadableMessage(f"header {missing} is missing") from None
    except ValueError as error:
        raise UnreadableMessage(str(error)) from None


def salvage_delivery(headers: Mapping[str, str], body: bytes, *, sequence: int, stored_at: datetime) -> RawDelivery:
    """What can be said of an unreadable message in RAW: law 2 gives it a disposition as any other."""
    sha256 = hashlib.sha256(body).hexdigest()
    return RawDelivery(
        source=headers.get(EM_SOURCE, UNKNOWN),
        event=headers.get(EM_EVENT, ""),
        delivery=headers.get(EM_DELIVERY, f"sequence:{sequence}"),
        sha256=sha256,
        received_at=stored_at,
        body=body,
        sequence=sequence,
    )


def event_headers(event: Event) -> dict[str, str]:
    """CloudEvents attributes of a stamped event."""
    return {
        MESSAGE_ID: event.id,
        "ce-specversion": "1.0",
        "ce-id": event.id,
        CE_TYPE: event.kind,
        "ce-source": f"/em/{event.source}",
        "ce-time": rfc3339(event.occurred_at),
        EM_ORIGIN: event.origin,
    }


def event_message(event: Event, subjects: Subjects) -> Outgoing:
    """A stamped event as it is published: by its kind, or as an answer on the subject of notifications."""
    subject = subjects.notify if isinstance(event, Reply | Nudge | Bulletin) else subjects.event(event.kind)
    return Outgoing(subject=subject, body=encode_event(event), headers=event_headers(event))


def encode_event(event: Event) -> bytes:
    return _encoder().encode(event)


def read_event(headers: Mapping[str, str], body: bytes) -> Event | None:
    """The event by its `ce-type`; None for a kind that this version doesn't know. Raises UnreadableMessage."""
    event_type = KINDS.get(headers.get(CE_TYPE, ""))
    if event_type is None:
        return None
    try:
        return _decoder(event_type).decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnreadableMessage(str(error)) from None


def rfc3339(moment: datetime) -> str:
    """UTC with microseconds, so that texts sort as times do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


@cache
def _encoder() -> msgspec.json.Encoder:
    return msgspec.json.Encoder()


@cache
def _decoder(event_type: type[Event]) -> msgspec.json.Decoder[Event]:
    return msgspec.json.Decoder(event_type)
