"""`em logs`: the end of the log files, and what is appended to them."""

import time
from pathlib import Path
from typing import Annotated

import typer

from em import logs as log_files
from em.commands.environment import home
from em.errors import EmError
from em.screen import SCREEN

POLL_S = 0.25


def logs(
    service: Annotated[str | None, typer.Argument(help="One program; default: all.")] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Print what is appended, until interrupted.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=0, help="Lines from the end of each log.")] = 20,
) -> None:
    """Print the logs of the stack."""
    paths = sorted(home().logs.glob("*.log"))
    chosen = [path for path in paths if service in (None, path.stem)]
    if not chosen:
        known = ", ".join(path.stem for path in paths)
        raise EmError(
            f"there is no log of {service}" if service else "there are no logs here",
            hint=f"there are logs of: {known}" if known else "start the stack with: em up",
        )
    ends = {path: path.stat().st_size for path in chosen}
    prefixed = len(chosen) > 1
    for path in chosen:
        for line in log_files.tail(path, lines=lines, until=ends[path]):
            _print(path, line, prefixed=prefixed)
    while follow:
        time.sleep(POLL_S)
        for path in chosen:
            ends[path] = _print_from(path, ends[path], prefixed=prefixed)


def _print_from(path: Path, start: int, *, prefixed: bool) -> int:
    """Whole lines only; a file that became shorter was rotated."""
    if not path.exists():
        return 0
    size = path.stat().st_size
    with path.open("rb") as log:
        log.seek(start if start <= size else 0)
        appended, newline, unfinished = log.read().rpartition(b"\n")
        end = log.tell() - len(unfinished)
    for line in appended.decode(errors="replace").splitlines() if newline else ():
        _print(path, line, prefixed=prefixed)
    return end


def _print(path: Path, line: str, *, prefixed: bool) -> None:
    SCREEN.out.out(f"{path.stem} | {line}" if prefixed else line, highlight=False)
