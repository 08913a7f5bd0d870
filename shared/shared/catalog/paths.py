"""Globs of paths: `*` within a folder, `**` across folders; what names a folder holds all in it. Pure."""

import re
from collections.abc import Collection, Iterable
from functools import cache

_TOKENS = re.compile(r"\*\*/|\*\*|\*|\?|[^*?]+")
_MEANINGS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def touched(globs: Collection[str], files: Iterable[str]) -> bool:
    """Whether any of the files lies where one of the globs says; without globs that is everywhere."""
    return not globs or any(_pattern(glob).fullmatch(file) for file in files for glob in globs)


@cache
def _pattern(glob: str) -> re.Pattern[str]:
    told = "".join(_MEANINGS.get(token, re.escape(token)) for token in _TOKENS.findall(glob.strip("/")))
    return re.compile(f"{told}(?:/.*)?", re.DOTALL)
