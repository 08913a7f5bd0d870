"""`em reconcile`: does everything that was accepted stand where it must, and what was not said yet."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from em import operator
from em.screen import SCREEN

if TYPE_CHECKING:
    from em.ledger.archive import Archived
    from shared.bus import Bus
    from shared.db import Connection

GAPS_REMAIN = 1
NORMALIZER_SCHEMA = "normalizer"
SAID_WITHIN_S = 2.0


class Findings(msgspec.Struct, kw_only=True):
    """Counts; `handed` were given to normalizer again, `lost` can't be."""

    raw_missing: int = 0
    raw_lost: int = 0
    deliveries_without_events: int = 0
    events_lost: int = 0
    handed: int = 0
    outbox_oldest_s: dict[str, float] = {}
    waiting: int = 0
    paused: int = 0

    @property
    def is_clean(self) -> bool:
        return not (self.raw_missing or self.raw_lost or self.deliveries_without_events)

    @property
    def is_repaired(self) -> bool:
        left = self.raw_missing + self.deliveries_without_events - self.handed
        return not (self.raw_lost or self.events_lost or left)


def reconcile(
    since: Annotated[float, typer.Option(min=0.01, help="Hours of events to compare; RAW is compared whole.")] = 24,
    repair: Annotated[bool, typer.Option("--repair", help="Hand what is missing to normalizer again.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Compare RAW with the archive, and the archive with the events. Exit code: 0 whole or repaired, 1 gaps remain."""
    findings = operator.run(lambda: compare(datetime.now(UTC) - timedelta(hours=since), repair=repair))
    if as_json:
        SCREEN.out.out(json.dumps({**msgspec.to_builtins(findings), "clean": findings.is_clean}, indent=2))
    else:
        _show(findings, repair=repair)
    if not findings.is_clean and not (repair and findings.is_repaired):
        raise typer.Exit(GAPS_REMAIN)


async def compare(since: datetime, *, repair: bool, places: int | None = None) -> Findings:
    """Of RAW the last `places`, or all; of events those since then. What is found is noted for normalizer's metrics."""
    from em.ledger import checks, gaps
    from shared.db import waiting

    findings = Findings()
    rows: list[waiting.Row] = []
    async with operator.open_bus() as bus, operator.open_database(NORMALIZER_SCHEMA) as tx:
        with SCREEN.busy("comparing RAW with the archive"):
            async for gap in gaps.raw_gaps(bus, tx, places=places, progress=lambda _: None):
                findings.raw_missing += gap.row is not None
                findings.raw_lost += gap.row is None
                rows += [gap.row] if gap.row else []
        with SCREEN.busy("comparing the archive with the events"):
            for archived in await _still_missing(bus, tx, since):
                row = gaps.event_row(archived, bus)
                findings.deliveries_without_events += row is not None
                findings.events_lost += row is None
                rows += [row] if row else []
        if repair and rows:
            await waiting.add(tx, rows)
            findings.handed = len(rows)
        await checks.note(
            tx,
            raw=findings.raw_missing + findings.raw_lost,
            events=findings.deliveries_without_events,
            lost=findings.raw_lost + findings.events_lost,
        )
    await _look_at_tables(findings)
    return findings


async def _still_missing(bus: "Bus", tx: "Connection", since: datetime) -> "list[Archived]":
    """Looked for twice: what is archived is said a moment later, and that moment is no gap."""
    from em.ledger import gaps

    known = await gaps.event_ids(bus, since)
    missing = [each async for each in gaps.event_gaps(tx, known, since, progress=lambda _: None)]
    if not missing:
        return []
    await asyncio.sleep(SAID_WITHIN_S)
    known = await gaps.event_ids(bus, since)
    return [each for each in missing if not gaps.is_said(each, known)]


async def _look_at_tables(findings: Findings) -> None:
    from shared.contracts.services import NORMALIZER, SERVICES
    from shared.db import outbox

    for service in SERVICES:
        if not service.schema:
            continue
        async with operator.open_database(service.schema) as tx:
            findings.waiting += await tx.fetchval("SELECT count(*) FROM waiting")
            findings.paused += await tx.fetchval("SELECT count(*) FROM paused")
            if service is not NORMALIZER:
                findings.outbox_oldest_s[service.folder] = round(await outbox.oldest_seconds(tx), 1)


def _show(findings: Findings, *, repair: bool) -> None:
    def line(name: str, count: int, remedy: str = "") -> None:
        SCREEN.line(f"{name:<52} {count:>8}" + (f"   {remedy}" if count and remedy else ""))

    remedy = "handed to normalizer again" if repair else "repair with: em reconcile --repair"
    line("places in RAW that the archive does not account for", findings.raw_missing, remedy)
    line("… of which RAW itself has lost the message", findings.raw_lost, "only the sender has it: ask for redelivery")
    line("deliveries whose events are not all in EVENTS", findings.deliveries_without_events, remedy)
    line("… whose body was not kept", findings.events_lost)
    line("messages waiting to be handled later", findings.waiting)
    line("paused subjects", findings.paused, "see: em dead resume")
    for service, age in findings.outbox_oldest_s.items():
        SCREEN.line(f"{f'oldest message in the outbox of {service}, seconds':<52} {age:>8}")
