"""The spool's directory: numbered segments, one process at a time, a record is kept once `append` returned.

SpoolError
├── SpoolFull     it would be larger than SPOOL_MAX_BYTES
└── SpoolBroken   the disk refuses
"""

import asyncio
import fcntl
import mmap
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from ingest.spool.persistence import FORGETFUL, file_system, sync_directory
from ingest.spool.segment import Record, encode, records
from shared.contracts.envelope import Outgoing
from shared.settings import InvalidConfiguration
from shared.telemetry import logs, metrics

log = logs.get(__name__)

SEGMENT_MAX_BYTES = 8 * 1024 * 1024
SUFFIX = ".seg"
REFUSED = "refused"
DAMAGED = "damaged"
LOCK = "lock"


class SpoolUnusable(InvalidConfiguration):
    """SPOOL_DIR is not a place where a delivery could be kept."""


class SpoolError(Exception):
    """Not kept."""


class SpoolFull(SpoolError): ...


class SpoolBroken(SpoolError): ...


class Segment:
    """A file, and how far it is drained. Sizes in bytes."""

    def __init__(self, path: Path, *, count: int, size: int) -> None:
        self.path = path
        self.count = count
        self.size = size
        self.drained_count = 0
        self.drained_size = 0


class Spool:
    """Made by `open`. Appends that wait together share one write and one fsync, in a thread."""

    def __init__(self, directory: Path, *, max_bytes: int, lock: int) -> None:
        self.directory = directory
        self._max_bytes = max_bytes
        self._lock = lock
        self._segments: deque[Segment] = deque()
        self._number = 0
        self._file: int | None = None
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self.appended = asyncio.Event()

    @classmethod
    def open(cls, directory: Path, *, max_bytes: int, forgetful: frozenset[str] = FORGETFUL) -> Self:
        """Raises SpoolUnusable. Torn tails are cut: nobody was told that they are kept."""
        try:
            for path in (directory, directory / REFUSED, directory / DAMAGED):
                path.mkdir(parents=True, exist_ok=True)
            lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
            sync_directory(directory)
        except OSError as error:
            raise SpoolUnusable(f"SPOOL_DIR={directory}: {error.strerror}") from None
        kind = file_system(directory)
        if kind in forgetful:
            os.close(lock)
            raise SpoolUnusable(f"SPOOL_DIR={directory} is on {kind}, which forgets: name a directory on a disk")
        if kind == "overlay":
            log.warning("spool.in_container_layer", directory=str(directory), remedy="mount a volume there")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise SpoolUnusable(f"SPOOL_DIR={directory} is in use by another process") from None
        spool = cls(directory, max_bytes=max_bytes, lock=lock)
        for path in segment_paths(directory):
            spool._adopt(path)
        spool._tell()
        return spool

    @property
    def records(self) -> int:
        return sum(segment.count - segment.drained_count for segment in self._segments)

    @property
    def size(self) -> int:
        """Bytes on disk, also what was drained of a segment that is not empty yet."""
        return sum(segment.size for segment in self._segments)

    async def append(self, message: Outgoing) -> None:
        """On disk when it returns. Raises SpoolFull or SpoolBroken."""
        data = encode(message)
        if self.size + sum(len(waiting) for waiting, _ in self._waiting) + len(data) > self._max_bytes:
            raise SpoolFull(f"the spool holds {self.size} of {self._max_bytes} bytes")
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((data, kept))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await asyncio.shield(kept)

    def oldest(self) -> Segment | None:
        """The segment to drain next. The one that is written to is closed first, so that it never changes again."""
        if not self._segments:
            return None
        first = self._segments[0]
        if len(self._segments) == 1 and self._file is not None:
            if self._writing is not None:
                return None
            self._close_file()
        return first

    def drained(self, *, count: int, size: int) -> None:
        """The next records of the oldest segment are where they belong."""
        self._segments[0].drained_count += count
        self._segments[0].drained_size += size
        self._tell()

    def remove_oldest(self) -> None:
        """Every record of it is drained or set aside."""
        self._segments.popleft().path.unlink()
        sync_directory(self.directory)
        self._tell()

    def set_aside(self, place: str, name: str, content: bytes) -> None:
        """Kept for people to look at, in `refused/` or `damaged/`."""
        path = self.directory / place / name
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_directory(path.parent)

    def close(self) -> None:
        self._close_file()
        os.close(self._lock)

    async def _write(self) -> None:
        """Rounds of all that waits, until nothing does."""
        while self._waiting:
            batch, self._waiting = self._waiting, []
            data = b"".join([each for each, _ in batch])
            try:
                await asyncio.to_thread(self._write_through, data)
            except OSError as error:
                self._settle(batch, SpoolBroken(f"{self.directory}: {error.strerror}"))
                continue
            current = self._segments[-1]
            current.count += len(batch)
            current.size += len(data)
            metrics.spool_appended.inc(len(batch))
            self._settle(batch, None)
        self._writing = None
        self._tell()
        self.appended.set()

    def _settle(self, batch: list[tuple[bytes, "asyncio.Future[None]"]], error: SpoolBroken | None) -> None:
        for _, kept in batch:
            if kept.done():
                continue
            if error is None:
                kept.set_result(None)
            else:
                kept.set_exception(error)
                kept.exception()  # whoever asked may have gone

    def _write_through(self, data: bytes) -> None:
        """In a thread. What could not be written whole is taken back."""
        if self._file is None or self._segments[-1].size >= SEGMENT_MAX_BYTES:
            self._begin()
        assert self._file is not None  # noqa: S101  # begun above
        size = self._segments[-1].size
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, size)
            os.lseek(self._file, size, os.SEEK_SET)
            raise

    def _begin(self) -> None:
        self._close_file()
        path = self.directory / f"{self._number + 1:08}{SUFFIX}"
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        sync_directory(self.directory)
        self._number += 1
        self._segments.append(Segment(path, count=0, size=0))

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _adopt(self, path: Path) -> None:
        """A segment that an earlier process left."""
        self._number = int(path.stem)
        size = path.stat().st_size
        count = whole = 0
        for record, _ in read(path):
            count, whole = count + 1, record.end
        if whole < size:
            log.warning("spool.torn_tail", segment=path.name, bytes=size - whole)
            os.truncate(path, whole)
        if count:
            self._segments.append(Segment(path, count=count, size=whole))
        else:
            path.unlink()

    def _tell(self) -> None:
        metrics.spool_records.set(self.records)
        metrics.spool_bytes.set(self.size)


def segment_paths(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob(f"*{SUFFIX}") if path.stem.isdecimal())


def read(path: Path, *, start: int = 0) -> Iterator[tuple[Record, bytes]]:
    """Records from `start` on, with their bytes as they stand in the file; a damaged one has no message."""
    if path.stat().st_size <= start:
        return
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for record in records(content, at=start):
            yield record, content[record.start : record.end]
