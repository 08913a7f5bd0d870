"""Gaps: places in RAW without a row in the archive, and events that were said and are not there."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime

import msgspec

from em.ledger import archive
from em.ledger.archive import Archived
from normalizer.store import missing_sequences
from shared.bus import Bus, browse
from shared.contracts.ids import caused_by_delivery
from shared.contracts.streams import EVENTS, NORMALIZER_RAW, RAW
from shared.db import Connection, waiting

PAGE = 10_000
REASON = "reconciled"

Progress = Callable[[int], None]


class RawGap(msgspec.Struct, frozen=True, kw_only=True):
    """`row` is what to hand to normalizer; None where RAW itself has lost the message."""

    sequence: int
    row: waiting.Row | None


async def raw_gaps(bus: Bus, tx: Connection, *, places: int | None, progress: Progress) -> AsyncIterator[RawGap]:
    """Of the last `places` that normalizer has acknowledged, or all; `progress` gets the one looked at last."""
    span = await browse.acknowledged(bus, NORMALIZER_RAW)
    begin = max(span.first, span.last - places + 1) if places else span.first
    for first in range(begin, span.last + 1, PAGE):
        last = min(first + PAGE - 1, span.last)
        for sequence in await missing_sequences(tx, first=first, last=last, since=span.made_at):
            yield RawGap(sequence=sequence, row=await _raw_row(bus, sequence))
        progress(last)


async def _raw_row(bus: Bus, sequence: int) -> waiting.Row | None:
    message = await browse.stored(bus, RAW.name, sequence)
    if message is None:
        return None
    return waiting.Row(
        consumer=NORMALIZER_RAW.label,
        sequence=sequence,
        subject=message.subject,
        headers=message.headers,
        body=message.body,
        stored_at=message.stored_at,
        reason=REASON,
    )


async def event_ids(bus: Bus, since: datetime) -> set[str]:
    return await browse.message_ids(bus, EVENTS.name, since=since)


async def event_gaps(
    tx: Connection, known: set[str], since: datetime, *, progress: Progress
) -> AsyncIterator[Archived]:
    """Deliveries received since then of which at least one event is not among `known`."""
    seen = 0
    async for page in archive.pages(tx, archive.Wanted(since=since, with_events=True)):
        for archived in page:
            if not is_said(archived, known):
                yield archived
        seen += len(page)
        progress(seen)


def is_said(archived: Archived, known: set[str]) -> bool:
    return known.issuperset(_ids(archived))


def event_row(archived: Archived, bus: Bus) -> waiting.Row | None:
    """Normalizer says its events once more, under the same ids; None where the body was not kept."""
    if archived.body is None:
        return None
    return waiting.Row(
        consumer=NORMALIZER_RAW.label,
        sequence=archived.stream_sequence,
        subject=archived.subject(bus.subjects),
        headers=archived.headers(origin=archived.origin),
        body=archived.body,
        stored_at=archived.received_at,
        reason=REASON,
    )


def _ids(archived: Archived) -> Sequence[str]:
    return [
        caused_by_delivery(source=archived.source, delivery=archived.delivery, sha256=archived.sha256, ordinal=ordinal)
        for ordinal in range(archived.events)
    ]
