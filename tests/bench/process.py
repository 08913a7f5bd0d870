"""A server under test, pinned to one core: what it used of the CPU and of memory."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
CORE_OF_SERVER = 0
CORE_OF_OTHERS = 1
READY_WITHIN_S = 20.0


class Measured:
    """A running process. CPU in seconds of user and system time, memory in bytes."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self.pid = process.pid

    @property
    def cpu_s(self) -> float:
        return cpu_s(self.pid)

    @property
    def rss_mb(self) -> float:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_s(pid: int) -> float:
    """User and system time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


@contextmanager
def running(
    argv: Sequence[str], environment: Mapping[str, str], *, port: int, log: Path, pinned: bool = True
) -> Iterator[Measured]:
    """Until the block ends; it answers HTTP before the block begins."""

    def begin() -> None:
        if pinned:
            pin(0, CORE_OF_SERVER)

    with log.open("ab") as out:
        process = subprocess.Popen(argv, env=dict(environment), stdout=out, stderr=out, preexec_fn=begin)
    try:
        _until_it_answers(port, process, log)
        yield Measured(process)
    finally:
        process.terminate()
        process.wait()


def pin(pid: int, core: int) -> None:
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > core:
        os.sched_setaffinity(pid, {core})


def _until_it_answers(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    give_up_at = time.monotonic() + READY_WITHIN_S
    while process.poll() is None and time.monotonic() < give_up_at:
        try:
            urlopen(f"http://127.0.0.1:{port}/live", timeout=1).close()
        except OSError as error:
            if getattr(error, "code", 0):  # any answer will do
                return
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{process.args!r} did not start:\n{log.read_text()[-2000:]}")
