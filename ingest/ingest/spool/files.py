"""Files of the spool: a segment that grows, the same read piece by piece, and what was set aside."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from ingest.spool.persistence import sync_directory
from ingest.spool.segment import Record, records

SUFFIX = ".seg"
ASIDE_SUFFIX = ".rec"
REFUSED = "refused"
DAMAGED = "damaged"
SEARCH_BYTES = 256 * 1024
RECOUNT_EVERY_S = 5.0


class Segment:
    """A file of records, and how far it is drained. Sizes in bytes; what lies behind `size` belongs to nobody."""

    def __init__(self, path: Path, *, count: int = 0, size: int = 0, descriptor: int | None = None) -> None:
        self.path = path
        self.count = count
        self.size = size
        self.drained_count = 0
        self.drained_size = 0
        self._descriptor = descriptor
        self._disk = threading.Lock()

    @classmethod
    def create(cls, path: Path) -> Self:
        """Its name is on disk as well. Raises OSError."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            sync_directory(path.parent)
        except OSError:
            os.close(descriptor)
            raise
        return cls(path, descriptor=descriptor)

    @property
    def is_open(self) -> bool:
        return self._descriptor is not None

    @property
    def is_drained(self) -> bool:
        return self.drained_count == self.count

    def append(self, data: bytes) -> None:
        """On disk when it returns; `size` is the caller's to change. Raises OSError: what was written is taken back,
        and the segment must be closed, because after a failed fsync nobody knows what a second one promises."""
        with self._disk:
            if self._descriptor is None:
                raise OSError("the segment is closed")
            try:
                write_through(self._descriptor, data, at=self.size)
            except OSError:
                os.ftruncate(self._descriptor, self.size)
                raise

    def close(self) -> None:
        with self._disk:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None


class SegmentFile:
    """Bytes as they are asked for, never all at once. A sector that can't be read is an OSError; a mapping of the file
    would end the process instead."""

    def __init__(self, path: Path, *, size: int | None = None) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        self._size = os.fstat(self._descriptor).st_size if size is None else size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        os.close(self._descriptor)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        return os.pread(self._descriptor, part.stop - part.start, part.start)

    def find(self, sought: bytes, start: int) -> int:
        while start < self._size:
            found = self[start : min(self._size, start + SEARCH_BYTES)].find(sought)
            if found >= 0:
                return start + found
            start += SEARCH_BYTES - len(sought) + 1
        return -1


class Aside:
    """What is kept for people to look at, in `refused/` and `damaged/`: one file per record, as it stood."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._counted_at = 0.0
        self.size = 0
        self.count()

    @property
    def last_number(self) -> int:
        """The largest number of a segment that something comes from: a new segment must not take it again."""
        return max((int(path.stem.partition("-")[0]) for path in self._paths()), default=0)

    def count(self) -> None:
        self.size = sum(size_of(path) for path in self._paths())
        self._counted_at = time.monotonic()

    def count_again(self) -> None:
        """People take files away; but a full spool must not look at all of them for each delivery."""
        if time.monotonic() - self._counted_at > RECOUNT_EVERY_S:
            self.count()

    def keep(self, place: str, segment: Segment, number: int, record: Record) -> bool:
        """In a thread. False when it was there already: an earlier try came no further. Raises OSError."""
        path = self._directory / place / f"{segment.path.stem}-{number}{ASIDE_SUFFIX}"
        known = path.exists()
        with SegmentFile(segment.path) as file:
            content = file[record.start : record.end]
        write_whole(path, content)
        return not known

    def _paths(self) -> list[Path]:
        return [path for place in (REFUSED, DAMAGED) for path in set_aside_paths(self._directory / place)]


def write_through(descriptor: int, data: bytes, *, at: int) -> None:
    """A disk that is nearly full takes a part first, and refuses with the next call."""
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, memoryview(data)[written:], at + written)
    os.fsync(descriptor)


def write_whole(path: Path, content: bytes) -> None:
    """There with all of its content, or not there. Raises OSError."""
    partial = path.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_through(descriptor, content, at=0)
    except OSError:
        partial.unlink()
        raise
    finally:
        os.close(descriptor)
    partial.replace(path)
    sync_directory(path.parent)


def segment_paths(directory: Path) -> list[Path]:
    found = [path for path in directory.glob(f"*{SUFFIX}") if path.stem.isdecimal()]
    return sorted(found, key=lambda path: int(path.stem))


def set_aside_paths(place: Path) -> list[Path]:
    return sorted(path for path in place.glob(f"*{ASIDE_SUFFIX}") if path.stem.partition("-")[0].isdecimal())


def size_of(path: Path) -> int:
    """0 when it is gone: others may take it away at any time."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def read(path: Path, *, start: int = 0, size: int | None = None) -> Iterator[Record]:
    """Records from `start` on, as far as `size`; all of it when that is None. Raises OSError."""
    with SegmentFile(path, size=size) as file:
        yield from records(file, at=start)
