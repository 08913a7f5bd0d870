"""`em replay`: archived deliveries travel the line once more. It fills gaps and changes nothing that exists."""

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.progress import Progress

from em import operator
from em.errors import EmError
from em.screen import SCREEN

if TYPE_CHECKING:
    from em.ledger.archive import Archived, Wanted
    from shared.bus import Bus

ORIGIN = "replay"
PUBLISH_TIMEOUT_S = 10.0
BATCH = 100


class Replayed(msgspec.Struct, kw_only=True):
    """`known`: the broker has them within its duplicate window; `without_body`: the archive keeps only their hash."""

    published: int = 0
    known: int = 0
    without_body: int = 0
    last_id: int = 0


def replay(
    source: Annotated[str, typer.Option(help="Only of this source, e.g. github.")] = "",
    event: Annotated[str, typer.Option(help="Only of this event, as the platform names it.")] = "",
    delivery: Annotated[str, typer.Option(help="Only this delivery id.")] = "",
    since: Annotated[str, typer.Option("--from", help="Received at or after this time (ISO 8601, UTC).")] = "",
    until: Annotated[str, typer.Option("--to", help="Received before this time.")] = "",
    after: Annotated[int, typer.Option(min=0, help="Go on after this archive id, as an interrupted run named it.")] = 0,
    rate: Annotated[int, typer.Option(min=1, help="At most so many per second.")] = 500,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
) -> None:
    """Publish archived deliveries again, under the same ids, with origin `replay`: counted, never acted on (law 9)."""
    from em.ledger.archive import Wanted

    wanted = Wanted(source=source, event=event, delivery=delivery, since=_time(since), until=_time(until))
    total = operator.run(lambda: _count(wanted))
    if dry_run:
        SCREEN.line(f"{total} deliveries match")
        return
    done = operator.run(lambda: _replay(wanted, after=after, rate=rate, total=total))
    SCREEN.line(
        f"{done.published} published again, {done.known} already there, {done.without_body} without a body;"
        f" last archive id {done.last_id}"
    )


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise EmError(f"{text!r} is not a time", hint="write it like 2026-03-01 or 2026-03-01T12:00:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


async def _count(wanted: "Wanted") -> int:
    from em.ledger import archive

    async with operator.open_database("normalizer") as tx:
        return await archive.count(tx, wanted)


async def _replay(wanted: "Wanted", *, after: int, rate: int, total: int) -> Replayed:
    from em.ledger import archive

    done = Replayed(last_id=after)
    async with operator.open_bus() as bus, operator.open_database("normalizer") as tx:
        with Progress(console=SCREEN.err, transient=True) as progress:
            task = progress.add_task("replaying", total=total)
            async for page in archive.pages(tx, wanted, after=after):
                for start in range(0, len(page), BATCH):
                    began = time.monotonic()
                    batch = page[start : start + BATCH]
                    await _publish(bus, batch, done)
                    progress.advance(task, len(batch))
                    await asyncio.sleep(max(0.0, len(batch) / rate - (time.monotonic() - began)))
    return done


async def _publish(bus: "Bus", batch: "list[Archived]", done: Replayed) -> None:
    from shared.contracts.envelope import Outgoing

    messages = [
        Outgoing(subject=each.subject(bus.subjects), body=each.body, headers=each.headers(origin=ORIGIN))
        for each in batch
        if each.body is not None
    ]
    acks = await bus.publisher.publish_all(messages, timeout_s=PUBLISH_TIMEOUT_S)
    known = sum(bool(ack.duplicate) for ack in acks)
    done.known += known
    done.published += len(acks) - known
    done.without_body += len(batch) - len(messages)
    done.last_id = batch[-1].id
