"""The spool's directory: numbered segments, one process at a time, a record is kept once `append` returned.

SpoolError
├── SpoolFull     it would be larger than SPOOL_MAX_BYTES
└── SpoolBroken   the disk refuses
"""

import asyncio
import fcntl
import os
from pathlib import Path
from typing import Self

from ingest.spool.files import DAMAGED, REFUSED, SUFFIX, Aside, Segment, read, segment_paths
from ingest.spool.persistence import FORGETFUL, file_system, make_directory, sync_directory
from ingest.spool.segment import Record, encode
from shared.contracts.envelope import Outgoing
from shared.settings import InvalidConfiguration
from shared.telemetry import logs, metrics

log = logs.get(__name__)

SEGMENT_MAX_BYTES = 8 * 1024 * 1024
LOCK = "lock"


class SpoolUnusable(InvalidConfiguration):
    """SPOOL_DIR is not a place where a delivery could be kept."""


class SpoolError(Exception):
    """Not kept."""


class SpoolFull(SpoolError): ...


class SpoolBroken(SpoolError): ...


class Spool:
    """Made by `open`. Appends that wait together share one write and one fsync.

    Threads write and sync; what is known of the segments changes on the event loop only.
    """

    def __init__(self, directory: Path, *, max_bytes: int, lock: int) -> None:
        self.directory = directory
        self._max_bytes = max_bytes
        self._lock = lock
        self._aside = Aside(directory)
        self._segments = _adopted(directory)
        self._number = max([self._aside.last_number, *(int(path.stem) for path in segment_paths(directory))])
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._unsettled_bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self.appended = asyncio.Event()
        self._tell()

    @classmethod
    def open(cls, directory: Path, *, max_bytes: int, forgetful: frozenset[str] = FORGETFUL) -> Self:
        """Raises SpoolUnusable. Torn tails are cut: nobody was told that they are kept."""
        try:
            _prepare(directory, forgetful)
            lock = _locked(directory)
        except OSError as error:
            raise SpoolUnusable(f"SPOOL_DIR={directory}: {error.strerror}") from None
        try:
            return cls(directory, max_bytes=max_bytes, lock=lock)
        except OSError as error:
            os.close(lock)
            raise SpoolUnusable(f"SPOOL_DIR={directory}: {error.strerror}") from None

    @property
    def records(self) -> int:
        return sum(segment.count - segment.drained_count for segment in self._segments)

    @property
    def size(self) -> int:
        """Bytes on disk: also what was drained of a segment that is not empty yet, and what was set aside."""
        return sum(segment.size for segment in self._segments) + self._aside.size

    async def append(self, message: Outgoing) -> None:
        """On disk when it returns. Raises SpoolFull or SpoolBroken."""
        data = encode(message)
        self._claim(len(data))
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((data, kept))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())
        await asyncio.shield(kept)

    def oldest(self) -> Segment | None:
        """The segment to drain next, as far as its `size`: behind it may be written."""
        return next((segment for segment in self._segments if not segment.is_drained), None)

    async def drained(self, segment: Segment, *, count: int, size: int) -> None:
        """The next records of it are where they belong; when all are, it goes."""
        segment.drained_count += count
        segment.drained_size += size
        if segment.is_open and segment.is_drained and self._writing is None:
            segment.close()
        await self._remove_drained()

    async def set_aside(self, place: str, segment: Segment, number: int, record: Record) -> bool:
        """Kept for people to look at, in `refused/` or `damaged/`. False when it was already. Raises OSError."""
        is_new = await asyncio.to_thread(self._aside.keep, place, segment, number, record)
        self._aside.size += record.size if is_new else 0
        return is_new

    def close(self) -> None:
        """Waits for a write that is under way."""
        for segment in self._segments:
            segment.close()
        os.close(self._lock)

    def _claim(self, size: int) -> None:
        if self.size + self._unsettled_bytes + size > self._max_bytes:
            self._aside.count_again()
        if self.size + self._unsettled_bytes + size > self._max_bytes:
            raise SpoolFull(f"the spool holds {self.size} of {self._max_bytes} bytes")
        self._unsettled_bytes += size

    async def _write(self) -> None:
        """Rounds of all that waits, until nothing does."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._keep(batch)
        finally:
            self._writing = None
            self.appended.set()
        await self._remove_drained()

    async def _keep(self, batch: list[tuple[bytes, "asyncio.Future[None]"]]) -> None:
        data = b"".join([each for each, _ in batch])
        error: SpoolBroken | None = SpoolBroken(f"{self.directory}: interrupted")
        try:
            segment = await self._current()
            await asyncio.to_thread(segment.append, data)
            segment.count += len(batch)
            segment.size += len(data)
            metrics.spool_appended.inc(len(batch))
            error = None
        except OSError as refused:
            error = SpoolBroken(f"{self.directory}: {refused.strerror or refused}")
            log.error("spool.broken", error=str(error))
        finally:
            self._unsettled_bytes -= len(data)
            if error:
                self._close_last()
            _settle(batch, error)

    async def _current(self) -> Segment:
        """The one that is written to. A number is never used twice, not even that of a file that could not be made."""
        if self._segments and self._segments[-1].is_open:
            if self._segments[-1].size < SEGMENT_MAX_BYTES:
                return self._segments[-1]
            self._close_last()
        self._number += 1
        path = self.directory / f"{self._number:08}{SUFFIX}"
        self._segments.append(await asyncio.to_thread(Segment.create, path))
        return self._segments[-1]

    def _close_last(self) -> None:
        if self._segments:
            self._segments[-1].close()

    async def _remove_drained(self) -> None:
        """Also what a full disk left empty. One that can't be removed is tried again, and drained again by the next
        process at the worst: twice is once."""
        gone = [segment for segment in self._segments if segment.is_drained and not segment.is_open]
        try:
            for segment in gone:
                segment.path.unlink(missing_ok=True)
                self._segments.remove(segment)
            if gone:
                await asyncio.to_thread(sync_directory, self.directory)
        except OSError as error:
            log.warning("spool.not_removed", error=str(error))
        self._tell()

    def _tell(self) -> None:
        metrics.spool_records.set(self.records)
        metrics.spool_bytes.set(self.size)


def _settle(batch: list[tuple[bytes, "asyncio.Future[None]"]], error: SpoolBroken | None) -> None:
    for _, kept in batch:
        if kept.done():
            continue
        if error is None:
            kept.set_result(None)
        else:
            kept.set_exception(error)
            kept.exception()  # whoever asked may have gone


def _prepare(directory: Path, forgetful: frozenset[str]) -> None:
    """Raises OSError or SpoolUnusable."""
    make_directory(directory)
    kind = file_system(directory)
    if kind in forgetful:
        raise SpoolUnusable(f"SPOOL_DIR={directory} is on {kind}, which forgets: name a directory on a disk")
    if kind == "overlay":
        log.warning("spool.in_container_layer", directory=str(directory), remedy="mount a volume there")
    for place in (REFUSED, DAMAGED):
        make_directory(directory / place)


def _locked(directory: Path) -> int:
    """Raises OSError or SpoolUnusable."""
    lock = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise SpoolUnusable(f"SPOOL_DIR={directory} is in use by another process") from None
    except OSError:
        os.close(lock)
        raise
    return lock


def _adopted(directory: Path) -> list[Segment]:
    """What an earlier process left, oldest first. Raises OSError."""
    return [segment for path in segment_paths(directory) if (segment := _adopt(path)).count]


def _adopt(path: Path) -> Segment:
    size = path.stat().st_size
    segment = Segment(path)
    for record in read(path):
        segment.count, segment.size = segment.count + 1, record.end
    if segment.size < size:
        log.warning("spool.torn_tail", segment=path.name, bytes=size - segment.size)
        os.truncate(path, segment.size)
    if not segment.count:
        path.unlink()
    return segment
