"""`em status`: what runs, where, whether it is ready, how often it restarted, how much memory it holds."""

import asyncio
import json
from dataclasses import asdict, dataclass
from typing import Annotated

import typer
from rich.table import Table

from em import probe, processes, state
from em.commands.environment import home
from em.screen import SCREEN
from em.state import ProgramState, State

NOT_READY = 1
NOT_RUNNING = 3
SUPERVISOR = "supervisor"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One program as it is now; `ready` is its own answer at this moment."""

    name: str
    state: str
    ready: bool
    pid: int | None
    port: int | None
    restarts: int
    memory_bytes: int
    url: str


def status(as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """Show every program of the stack. Exit code: 0 all ready, 1 something is not, 3 nothing runs."""
    now = state.read(home())
    rows = asyncio.run(_rows(now)) if now else []
    supervised = bool(now and now.is_supervised)
    if as_json:
        SCREEN.out.out(json.dumps(_as_json(now, rows, supervised=supervised), indent=2))
    elif now:
        _show(now, rows, supervised=supervised)
    else:
        SCREEN.line("nothing is running here; start it with: em up")
    if not supervised:
        raise typer.Exit(NOT_RUNNING)
    if not all(row.ready for row in rows):
        raise typer.Exit(NOT_READY)


async def _rows(now: State) -> list[Row]:
    programs = [program for program in now.programs if not program.once]
    return [_supervisor(now), *await asyncio.gather(*map(_row, programs))]


def _supervisor(now: State) -> Row:
    alive = now.is_supervised
    return Row(
        name=SUPERVISOR,
        state=now.phase,
        ready=alive and now.phase == state.READY,
        pid=now.pid if alive else None,
        port=None,
        restarts=0,
        memory_bytes=processes.memory_bytes(now.pid) if alive else 0,
        url="",
    )


async def _row(program: ProgramState) -> Row:
    alive = program.is_alive
    return Row(
        name=program.name,
        state=program.state,
        ready=alive and (await probe.ask(program.ready)).ok,
        pid=program.pid if alive else None,
        port=program.port or None,
        restarts=program.restarts,
        memory_bytes=processes.tree_memory_bytes(program.pid) if alive else 0,
        url=program.url,
    )


def _as_json(now: State | None, rows: list[Row], *, supervised: bool) -> dict[str, object]:
    return {
        "running": supervised,
        "phase": now.phase if now else None,
        "error": now.error if now else "",
        "started_at": now.started_at if now else None,
        "urls": now.urls if now else {},
        "programs": [asdict(row) for row in rows],
        "restarts": sum(row.restarts for row in rows),
        "memory_bytes": sum(row.memory_bytes for row in rows),
    }


def _show(now: State, rows: list[Row], *, supervised: bool) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("program")
    table.add_column("state")
    table.add_column("ready")
    for numeric in ("pid", "port", "restarts", "memory"):
        table.add_column(numeric, justify="right")
    for row in rows:
        table.add_row(
            row.name,
            row.state,
            "yes" if row.ready else "no",
            str(row.pid or "-"),
            str(row.port or "-"),
            str(row.restarts),
            _megabytes(row.memory_bytes),
        )
    restarts, memory = sum(row.restarts for row in rows), sum(row.memory_bytes for row in rows)
    table.add_row("total", "", "", "", "", str(restarts), _megabytes(memory))
    SCREEN.out.print(table, soft_wrap=False)
    if now.error:
        SCREEN.line(f"\nthe start failed: {now.error}")
    elif not supervised:
        SCREEN.line("\nthe supervisor is gone; clean up with: em down")


def _megabytes(amount: int) -> str:
    return f"{amount / 1_000_000:.0f} MB" if amount else "-"
