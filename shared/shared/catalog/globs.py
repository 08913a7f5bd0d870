"""Globs in files of operators. Pure, and linear in the text: what `fnmatch` makes of a glob never backtracks."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

ANY_FOLDERS = "**"


def is_any(globs: Iterable[str], text: str) -> bool:
    """Platforms don't tell the cases of names apart, so neither do we."""
    return any(fnmatchcase(text.lower(), glob.lower()) for glob in globs)


def is_any_path(globs: Iterable[str], path: str) -> bool:
    """`*` stays within a folder, `**` stands for any number of them; paths tell cases apart."""
    return any(_is_path(_steps(glob), path.split("/")) for glob in globs)


def _steps(glob: str) -> list[str]:
    """A trailing `**` is everything below, not the folder's own name."""
    steps = glob.split("/")
    return [*steps, "*"] if steps[-1] == ANY_FOLDERS else steps


def _is_path(steps: Sequence[str], names: Sequence[str]) -> bool:
    reached = _past_folders(steps, {0})
    for name in names:
        stayed = {at for at in reached if at < len(steps) and steps[at] == ANY_FOLDERS}
        moved = {at + 1 for at in reached - stayed if at < len(steps) and fnmatchcase(name, steps[at])}
        reached = _past_folders(steps, stayed | moved)
    return len(steps) in reached


def _past_folders(steps: Sequence[str], reached: set[int]) -> set[int]:
    for at, step in enumerate(steps):
        if at in reached and step == ANY_FOLDERS:
            reached = reached | {at + 1}
    return reached
