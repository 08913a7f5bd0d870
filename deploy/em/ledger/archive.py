"""normalizer's archive as the operator reads it: deliveries with their bodies, in pages."""

from collections.abc import AsyncIterator
from datetime import datetime

import msgspec

from shared.contracts.envelope import MESSAGE_ID, RawDelivery
from shared.contracts.ids import delivery_message_id
from shared.contracts.subjects import Subjects, event_token
from shared.db import Connection

PAGE = 500


class Archived(msgspec.Struct, frozen=True, kw_only=True):
    """`body` is None where the archive keeps the hash alone; `events` is how many the delivery caused."""

    id: int
    source: str
    delivery: str
    sha256: str
    event: str
    origin: str
    stream_sequence: int
    received_at: datetime
    archived_at: datetime
    events: int
    name: str
    sent: str
    content_type: str
    body: bytes | None

    def raw(self, body: bytes, *, origin: str) -> RawDelivery:
        return RawDelivery(
            source=self.source,
            event=self.event,
            delivery=self.delivery,
            sha256=self.sha256,
            received_at=self.received_at,
            content_type=self.content_type,
            name=self.name,
            sent=self.sent,
            origin=origin,
            body=body,
        )

    def headers(self, *, origin: str) -> dict[str, str]:
        """As ingest published it, but for the origin; signatures are not archived."""
        message_id = delivery_message_id(source=self.source, delivery=self.delivery, sha256=self.sha256)
        return {**self.raw(b"", origin=origin).headers(), MESSAGE_ID: message_id}

    def subject(self, subjects: Subjects) -> str:
        return subjects.raw(source=self.source, event=event_token(self.event))


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A filter over the archive; empty fields match everything. Times are when a delivery reached us."""

    source: str = ""
    event: str = ""
    delivery: str = ""
    since: datetime | None = None
    until: datetime | None = None
    with_events: bool = False


_WHERE = """
    ($1 = '' OR source = $1) AND ($2 = '' OR event = $2) AND ($3 = '' OR delivery = $3)
    AND ($4::timestamptz IS NULL OR delivery.received_at >= $4)
    AND ($5::timestamptz IS NULL OR delivery.received_at < $5)
    AND (NOT $6 OR disposition = 'events')
"""


async def count(tx: Connection, wanted: Wanted) -> int:
    found: int = await tx.fetchval(f"SELECT count(*) FROM delivery WHERE {_WHERE}", *_arguments(wanted))  # noqa: S608
    return found


async def pages(tx: Connection, wanted: Wanted, *, after: int = 0) -> AsyncIterator[list[Archived]]:
    """In the order of the archive, from the id after `after`."""
    while True:
        rows = await tx.fetch(
            f"""
            SELECT id, source, delivery, sha256, event, origin, stream_sequence, delivery.received_at, archived_at,
                   name, sent,
                   events, content_type, body
            FROM delivery JOIN body ON body.delivery_id = delivery.id AND body.received_at = delivery.received_at
            WHERE {_WHERE} AND id > $7 ORDER BY id LIMIT $8
            """,  # noqa: S608  # a constant
            *_arguments(wanted),
            after,
            PAGE,
        )
        if not rows:
            return
        yield [Archived(**row) for row in rows]
        after = rows[-1]["id"]


def _arguments(wanted: Wanted) -> tuple[object, ...]:
    return wanted.source, wanted.event, wanted.delivery, wanted.since, wanted.until, wanted.with_events
