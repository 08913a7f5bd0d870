"""`em rebuild`: a service's projections anew, by translating the archive again."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import Progress

from em import operator
from em.errors import EmError
from em.screen import SCREEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from em.ledger.rebuild import Job
    from metrics_svc.rederive import Part
    from shared.bus import Bus
    from shared.db import Connection

POLL_S = 0.2
PARTS_AT_ONCE = 2
SCHEMA = "normalizer"


def rebuild(
    service: Annotated[Literal["metrics-svc"], typer.Argument(help="Whose tables: metrics-svc.")],
    abandon: Annotated[bool, typer.Option("--abandon", help="Give up a rebuild that is under way.")] = False,
    derived: Annotated[
        bool, typer.Option("--derived", help="Only what follows from the facts that are there.")
    ] = False,
) -> None:
    """Translate the archive again with the present code, and swap in what follows from it (law 9: nothing acts).

    What is served stays until the swap. Interrupted, the same command goes on where it stopped; with --derived it
    begins anew.
    """
    if derived:
        changes = operator.run(_rederive)
        SCREEN.line(f"{service} is rebuilt from its facts: {changes} changes and what belongs to them")
        return
    if abandon:
        operator.run(_abandon)
        return
    job = operator.run(_rebuild)
    SCREEN.line(f"{service} is rebuilt: {job.events} events, {job.untranslatable} deliveries can't be translated")


async def _abandon() -> None:
    from em.ledger import rebuild

    async with operator.open_database(SCHEMA) as tx:
        job = await rebuild.current(tx)
        if job is None or not await rebuild.abandon(tx, job):
            raise EmError("no rebuild is under way")
    SCREEN.line("abandoned: what is served was not touched")


async def _rebuild() -> "Job":
    from em.ledger import rebuild

    async with operator.open_bus() as bus, operator.open_database(SCHEMA) as tx:
        if await rebuild.current(tx) is None:
            await _require_bodies(tx)
            await _until_let_go(bus)
            await rebuild.begin(bus, tx)
        job = await _until_said(bus, tx)
        await _until_taken(bus, tx, job)
        await _require_all_taken(bus, tx, job)
        if not await rebuild.swap(tx, job):
            raise EmError("the rebuild was ended by another command meanwhile")
    return job


async def _rederive() -> int:
    from em.ledger import rebuild
    from metrics_svc.rederive import parts
    from shared.db.catalogs import newest

    async with operator.open_database("metrics") as tx:
        if not await rebuild.begin_derived(tx):
            raise EmError("the archive is being translated again: em rebuild metrics-svc goes on with that")
        async with tx.transaction():
            found = await parts(tx, (await newest(tx)).content)
        with Progress(console=SCREEN.err, transient=True) as progress:
            task = progress.add_task("deriving", total=sum(1 + part.changes for part in found))
            await _derive(found[:1], lambda part: progress.advance(task, 1 + part.changes))
            await rebuild.analyze_derived(tx)
            left = iter(found[1:])
            await asyncio.gather(
                *(_derive(left, lambda part: progress.advance(task, 1 + part.changes)) for _ in range(PARTS_AT_ONCE))
            )
        await rebuild.swap_derived(tx)
    return sum(part.changes for part in found)


async def _derive(found: "Iterable[Part]", done: "Callable[[Part], None]") -> None:
    """On a connection of its own; several may take from one iterator."""
    from metrics_svc.rebuild import in_shadow
    from metrics_svc.rederive import rederive
    from shared.db.catalogs import newest

    async with operator.open_database("metrics") as tx:
        for part in found:
            async with tx.transaction(), in_shadow(tx):
                await rederive(tx, part, (await newest(tx)).content)
            done(part)


async def _require_bodies(tx: "Connection") -> None:
    from em.ledger import rebuild

    if gone := await rebuild.bodies_gone(tx):
        raise EmError(
            f"{gone} deliveries that caused events have no body in the archive any more: a rebuild would lose them"
        )


async def _until_let_go(bus: "Bus") -> None:
    """What an abandoned rebuild said comes to nothing without a shadow; in the next one's it would count."""
    from em.ledger import rebuild

    with SCREEN.busy("metrics-svc lets go of what an abandoned rebuild said"):
        while await rebuild.on_the_way(bus):
            await asyncio.sleep(POLL_S)


async def _until_said(bus: "Bus", tx: "Connection") -> "Job":
    from em.ledger import rebuild

    with Progress(console=SCREEN.err, transient=True) as progress:
        task = progress.add_task("translating the archive", total=None)
        while True:
            job = await rebuild.current(tx)
            if job is None:
                raise EmError("the rebuild was abandoned meanwhile")
            progress.update(task, total=job.total, completed=job.archive_id)
            if job.state == "said":
                return job
            await rebuild.make_room(bus)
            await asyncio.sleep(POLL_S)


async def _until_taken(bus: "Bus", tx: "Connection", job: "Job") -> None:
    from em.ledger import rebuild

    with Progress(console=SCREEN.err, transient=True) as progress:
        task = progress.add_task("metrics-svc takes what was said", total=job.events)
        while left := await rebuild.left(bus, tx):
            progress.update(task, completed=max(0, job.events - left))
            await asyncio.sleep(POLL_S)


async def _require_all_taken(bus: "Bus", tx: "Connection", job: "Job") -> None:
    from em.ledger import rebuild

    untaken = await rebuild.untaken(tx, job)
    if not untaken:
        return
    if refused := await rebuild.refused(bus, tx, job):
        raise EmError(
            f"metrics-svc refused {refused} events of this rebuild: nothing was swapped",
            hint="look: em dead list; then em dead replay and this command again, or em rebuild metrics-svc --abandon",
        )
    raise EmError(
        f"{untaken} events were gone from REPLAY before metrics-svc took them (it keeps a day): nothing was swapped",
        hint="run: em rebuild metrics-svc --abandon; then em rebuild metrics-svc",
    )
