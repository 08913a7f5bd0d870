"""Log files of the programs: appended to, rotated once when large, read from the end."""

import io
from pathlib import Path
from typing import BinaryIO

ROTATE_BYTES = 10_000_000
TAIL_BYTES = 65_536


def open_log(path: Path) -> BinaryIO:
    """For appending; a file above 10 MB first becomes `<name>.log.1`."""
    if path.exists() and path.stat().st_size > ROTATE_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab")


def tail(path: Path, *, lines: int, start: int = 0, until: int | None = None) -> list[str]:
    """The last lines of a log between the bytes `start` and `until` (default: its end)."""
    try:
        with path.open("rb") as log:
            end = until if until is not None else log.seek(0, io.SEEK_END)
            begin = max(start, end - TAIL_BYTES)
            log.seek(begin)
            text = log.read(end - begin).decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    whole = text[1:] if begin > start else text
    return whole[-lines:] if lines else []
