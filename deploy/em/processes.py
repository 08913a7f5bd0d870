"""What the operating system tells about processes: identity, memory, children, and who listens on a port."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Collection, Iterator
from pathlib import Path

PROC = Path("/proc")
LISTEN = "0A"
POLL_S = 0.01


def identity(pid: int) -> str | None:
    """A mark that only this run of this pid has (its start time); None when it is gone or a zombie."""
    if not PROC.is_dir():
        return _ps(pid, "lstart")
    try:
        stat = (PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The command is in parentheses and may hold anything; state is field 3, starttime field 22: proc(5).
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def is_alive(pid: int, started: str) -> bool:
    return identity(pid) == started


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in (PROC / str(pid) / "task" / str(pid) / "children").read_text().split()]
    except OSError:
        return []


def memory_bytes(pid: int) -> int:
    """Resident memory of one process."""
    return _resident(pid, "VmRSS")


def tree_memory_bytes(pid: int) -> int:
    """Resident memory of a process, plus what each of its descendants holds for itself alone."""
    return memory_bytes(pid) + sum(_resident(child, "RssAnon") for child in _descendants(pid))


def command_of(pid: int, *, characters_max: int = 80) -> str:
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return b" ".join(words).decode(errors="replace").strip()[:characters_max]


def listener_of(port: int) -> int | None:
    """The pid that listens on a TCP port, where we may see it."""
    wanted = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not wanted:
        return None
    return next((pid for pid in _pids() if not wanted.isdisjoint(_open_files(pid))), None)


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process that may have gone meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


async def until_gone(pids: Collection[int], *, within_s: float) -> bool:
    """Whether none of these processes, which need not be our children, is left within the time."""
    give_up_at = time.monotonic() + within_s
    while left := any(identity(pid) for pid in pids):
        if time.monotonic() > give_up_at:
            break
        await asyncio.sleep(POLL_S)
    return not left


def _descendants(pid: int) -> Iterator[int]:
    for child in children(pid):
        yield child
        yield from _descendants(child)


def _resident(pid: int, field: str) -> int:
    if not PROC.is_dir():
        return int(_ps(pid, "rss") or 0) * 1024
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:")), 0)


def _listening_inodes(port: int) -> Iterator[str]:
    for table in (PROC / "net/tcp", PROC / "net/tcp6"):
        try:
            rows = table.read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, rows):
            if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                yield fields[9]


def _pids() -> Iterator[int]:
    yield from (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())


def _open_files(pid: int) -> Iterator[str]:
    try:
        descriptors = list((PROC / str(pid) / "fd").iterdir())
    except OSError:
        return
    for descriptor in descriptors:
        try:
            yield str(descriptor.readlink())
        except OSError:
            continue


def _ps(pid: int, column: str) -> str | None:
    """For systems without /proc (macOS)."""
    answer = subprocess.run(
        ["/bin/ps", "-o", f"{column}=", "-p", str(pid)], capture_output=True, text=True, check=False, timeout=5
    )
    return answer.stdout.strip() or None
