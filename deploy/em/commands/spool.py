"""`em spool`: what ingest keeps on its own disk while NATS is away."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress

from em import operator
from em.commands.environment import adopt_stack
from em.errors import EmError
from em.screen import SCREEN

if TYPE_CHECKING:
    from ingest.spool import Spool
    from shared.contracts.envelope import Outgoing

SOMETHING_LEFT = 1
PUBLISH_TIMEOUT_S = 10.0

app = typer.Typer(help="What ingest keeps on its own disk while NATS is away.", no_args_is_help=True)
Directory = Annotated[
    Path, typer.Option("--dir", envvar="SPOOL_DIR", exists=True, file_okay=False, help="SPOOL_DIR of that ingest.")
]


@app.callback()
def _stack() -> None:
    adopt_stack()


@app.command()
def status(
    directory: Directory,
    as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False,
) -> None:
    """Count what is spooled, refused and damaged; also beside a running ingest. Exit code: 0 nothing left, 1 some."""
    from ingest.spool.files import DAMAGED, REFUSED, set_aside_paths

    records, size, oldest = _counted(directory)
    aside = {place: [path.name for path in set_aside_paths(directory / place)] for place in (REFUSED, DAMAGED)}
    found = {"records": records, "bytes": size, "oldest_received_at": oldest, **aside}
    if as_json:
        SCREEN.out.out(json.dumps(found, indent=2))
    else:
        SCREEN.line(f"{records} deliveries in {size} bytes" + (f", the oldest received at {oldest}" if oldest else ""))
        for place, names in aside.items():
            for name in names:
                SCREEN.line(f"{place}: {directory / place / name}")
    if records or any(aside.values()):
        raise typer.Exit(SOMETHING_LEFT)


def _counted(directory: Path) -> tuple[int, int, str]:
    """(records, bytes, the oldest's Em-Received). A running ingest may remove a segment at any time."""
    from ingest.spool.files import read, segment_paths, size_of
    from shared.contracts.envelope import EM_RECEIVED

    records = size = 0
    received: list[str] = []
    for path in segment_paths(directory):
        size += size_of(path)
        try:
            for record in read(path):
                records += 1
                if record.message and EM_RECEIVED in record.message.headers:
                    received = [min([*received, record.message.headers[EM_RECEIVED]])]
        except FileNotFoundError:
            continue
    return records, size, received[0] if received else ""


@app.command()
def drain(directory: Directory) -> None:
    """Publish what a stopped ingest left behind. Exit code: 0 all is out, 1 something is left."""
    left = operator.run(lambda: _drain(directory))
    if left:
        SCREEN.line(f"{left} deliveries are left")
        raise typer.Exit(SOMETHING_LEFT)
    SCREEN.line("the spool is empty")


async def _drain(directory: Path) -> int:
    from ingest.settings import Settings
    from ingest.spool import Spool, SpoolUnusable

    try:
        spool = Spool.open(directory, max_bytes=int(Settings.model_fields["spool_max_bytes"].default))
    except SpoolUnusable as error:
        raise EmError(str(error), hint="stop that ingest first: a running one drains by itself") from error
    try:
        await _publish(spool)
        return spool.records
    finally:
        spool.close()


async def _publish(spool: "Spool") -> None:
    from ingest.keeping import with_claim_check
    from ingest.spool import Drain
    from shared.bus.errors import PublishError

    async with operator.open_bus() as bus:
        if problem := await bus.durability.problem():
            raise EmError(problem, hint="a record is deleted once it is acknowledged: that must mean on disk")
        with Progress(console=SCREEN.err, transient=True) as progress:
            task = progress.add_task("draining", total=spool.records)

            async def publish(message: "Outgoing") -> None:
                await with_claim_check(bus, message, timeout_s=PUBLISH_TIMEOUT_S)
                progress.advance(task)

            try:
                while await Drain(spool, publish).drain_oldest():
                    pass
            except PublishError as error:
                SCREEN.line(f"NATS does not take them: {error}")
            except OSError as error:
                SCREEN.line(f"the disk refuses: {error}")
