"""Dead letters: read from their stream, and handed once more to the one consumer that refused them."""

from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime

import msgspec

from shared.bus import Bus, browse
from shared.contracts.envelope import (
    DEAD_CONSUMER,
    DEAD_ID,
    DEAD_REASON,
    DEAD_REPLAYS,
    DEAD_SEQUENCE,
    DEAD_STREAM,
    DEAD_SUBJECT,
    DEAD_TRIES,
    MESSAGE_ID,
)
from shared.contracts.services import SERVICES
from shared.contracts.streams import DEAD
from shared.db import Connection, waiting

DEAD_HEADERS = frozenset({DEAD_CONSUMER, DEAD_ID, DEAD_REASON, DEAD_SEQUENCE, DEAD_STREAM, DEAD_SUBJECT, DEAD_TRIES})


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """`number` is its place in the stream of dead letters; `service` who refused it; `subject` where it came from."""

    number: int
    died_at: datetime
    service: str
    stream: str
    sequence: int
    subject: str
    reason: str
    tries: int
    headers: dict[str, str]
    body: bytes

    @property
    def original_headers(self) -> dict[str, str]:
        kept = {name: value for name, value in self.headers.items() if name not in DEAD_HEADERS}
        return {**kept, MESSAGE_ID: self.headers.get(DEAD_ID, "")}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A filter; empty fields match everything, `reason` matches a part of it, whatever its case."""

    service: str = ""
    reason: str = ""
    since: datetime | None = None

    def matches(self, letter: Letter) -> bool:
        return (
            letter.service.startswith(self.service.replace("-", "_"))
            and self.reason.lower() in letter.reason.lower()
            and (self.since is None or letter.died_at >= self.since)
        )


async def newest_first(bus: Bus, wanted: Wanted) -> AsyncIterator[Letter]:
    span = await browse.span(bus, DEAD.name)
    for number in range(span.last, span.first - 1, -1):
        letter = await find(bus, number)
        if letter and wanted.matches(letter):
            yield letter


async def find(bus: Bus, number: int) -> Letter | None:
    message = await browse.stored(bus, DEAD.name, number)
    if message is None:
        return None
    headers = message.headers
    return Letter(
        number=number,
        died_at=message.stored_at,
        service=headers.get(DEAD_CONSUMER, ""),
        stream=headers.get(DEAD_STREAM, ""),
        sequence=int(headers.get(DEAD_SEQUENCE, 0)),
        subject=headers.get(DEAD_SUBJECT, ""),
        reason=headers.get(DEAD_REASON, ""),
        tries=int(headers.get(DEAD_TRIES, 1)),
        headers=headers,
        body=message.body,
    )


async def replay(bus: Bus, tx: Connection, letters: Sequence[Letter], *, progress: Callable[[int], None]) -> None:
    """Into the waiting room of who refused them; only then are they taken out of the stream. `tx` is in its schema."""
    for letter in letters:
        row = waiting.Row(
            consumer=f"{letter.service}:{letter.stream}",
            sequence=letter.sequence,
            subject=letter.subject,
            headers={
                **letter.original_headers,
                DEAD_REPLAYS: str(int(letter.headers.get(DEAD_REPLAYS) or 0) + 1),
            },
            body=letter.body,
            stored_at=letter.died_at,
            reason=f"replayed dead letter {letter.number}",
        )
        await waiting.add(tx, [row])
        await browse.remove(bus, DEAD.name, letter.number)
        progress(letter.number)


def schema_of(letter: Letter) -> str:
    """Empty for a service that this version doesn't know."""
    return next((service.schema or "" for service in SERVICES if service.name == letter.service), "")
