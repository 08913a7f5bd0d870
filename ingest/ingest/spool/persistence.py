"""Whether a directory outlives the machine's memory, and names that outlive a power cut."""

import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
FORGETFUL = frozenset({"tmpfs", "ramfs", "devtmpfs"})


def file_system(directory: Path) -> str:
    """Type of the file system that holds it (`ext4`); empty where the system doesn't tell."""
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
    return holder(os.path.realpath(directory), mounts)


def holder(path: str, mounts: str) -> str:
    """Type of the mount that `path`, absolute and without links, lies on: the deepest one, of equals the last.

    `mounts` is as in proc(5), /proc/pid/mountinfo: blanks in a mount point are octal.
    """
    best = ("", "")
    for line in mounts.split("\n"):
        left, found, right = line.partition(" - ")
        if not found:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), left.split(" ")[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = point, right.split(" ")[0]
    return best[1]


def make_directory(path: Path) -> None:
    """With its parents; each new name is on disk. Raises OSError."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        sync_directory(each.parent)


def sync_directory(directory: Path) -> None:
    """A new name is on disk only when its directory is."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
