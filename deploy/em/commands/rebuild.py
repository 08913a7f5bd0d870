"""`em rebuild`: a service's projections anew, by translating the archive again."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import Progress

from em import operator
from em.errors import EmError
from em.screen import SCREEN

if TYPE_CHECKING:
    from em.ledger.rebuild import Job
    from shared.bus import Bus
    from shared.db import Connection

POLL_S = 0.2
SCHEMA = "normalizer"


def rebuild(
    service: Annotated[Literal["metrics-svc"], typer.Argument(help="Whose tables: metrics-svc.")],
    abandon: Annotated[bool, typer.Option("--abandon", help="Give up a rebuild that is under way.")] = False,
) -> None:
    """Translate the archive again with the present code, and swap in what follows from it (law 9: nothing acts).

    What is served stays until the swap. Interrupted, the same command goes on where it stopped.
    """
    if abandon:
        operator.run(_abandon)
        return
    job = operator.run(_rebuild)
    SCREEN.line(f"{service} is rebuilt: {job.events} events, {job.untranslatable} deliveries can't be translated")


async def _abandon() -> None:
    from em.ledger import rebuild

    async with operator.open_database(SCHEMA) as tx:
        job = await rebuild.current(tx)
        if job is None:
            raise EmError("no rebuild is under way")
        await rebuild.abandon(tx, job)
    SCREEN.line("abandoned: what is served was not touched")


async def _rebuild() -> "Job":
    from em.ledger import rebuild

    async with operator.open_bus() as bus, operator.open_database(SCHEMA) as tx:
        if await rebuild.current(tx) is None:
            await _require_bodies(tx)
            await rebuild.begin(bus, tx)
        job = await _until_said(tx)
        await _until_taken(bus, tx)
        if refused := await rebuild.refused(bus, tx, job):
            raise EmError(
                f"metrics-svc refused {refused} events of this rebuild: nothing was swapped",
                hint="look: em dead list; then em dead replay and this command again, or em rebuild --abandon",
            )
        await rebuild.swap(tx, job)
    return job


async def _require_bodies(tx: "Connection") -> None:
    from em.ledger import rebuild

    if gone := await rebuild.bodies_gone(tx):
        raise EmError(
            f"{gone} deliveries that caused events have no body in the archive any more: a rebuild would lose them"
        )


async def _until_said(tx: "Connection") -> "Job":
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
            await asyncio.sleep(POLL_S)


async def _until_taken(bus: "Bus", tx: "Connection") -> None:
    from em.ledger import rebuild

    with SCREEN.busy("metrics-svc takes what was said"):
        while await rebuild.left(bus, tx):
            await asyncio.sleep(POLL_S)
