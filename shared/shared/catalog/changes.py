"""How large a change is called, and which ticket it is for. Pure."""

import re
from collections.abc import Iterator, Set

SIZES = ("XS", "S", "M", "L", "XL")
# Lines changed, up to and with.
SIZE_LIMITS = {"XS": 10, "S": 100, "M": 400, "L": 1000}
_TICKET = re.compile(r"(?<![A-Za-z0-9])[A-Z][A-Z0-9]+-[0-9]+")


def size_of(lines: int | None) -> str:
    """Empty where that is unknown."""
    if lines is None:
        return ""
    return next((size for size, limit in SIZE_LIMITS.items() if lines <= limit), SIZES[-1])


def ticket_of(title: str, head_ref: str, projects: Set[str]) -> str:
    """The first key in the title, else in the branch: of these projects (in lower case), or of any without them."""
    return next(_tickets((title, head_ref), projects), "")


def tickets_in(texts: tuple[str, ...], projects: Set[str]) -> list[str]:
    """All keys, each once, in the order of the texts."""
    return list(dict.fromkeys(_tickets(texts, projects)))


def _tickets(texts: tuple[str, ...], projects: Set[str]) -> Iterator[str]:
    for text in texts:
        for found in _TICKET.finditer(text):
            if not projects or found[0].rpartition("-")[0].lower() in projects:
                yield found[0]
