"""What is looked for and found: a past decision, change or incident, or a question, in plain fields. Pure."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from approvals_svc.plain import plain

DocumentKind = Literal["decision", "change", "incident"]

TITLE_MAX_CHARACTERS = 255
TEXT_MAX_CHARACTERS = 4000
LISTED_MAX = 20
HOURS = ("night", "morning", "afternoon", "evening")
# What looks like a key or a token is no evidence, and leaves the house where an endpoint makes the vectors.
_SECRET = re.compile(
    r"""(?ix)
    \b(?:gh[opsur]_|github_pat_|glpat-|xox[a-z]-|sk-|AKIA|eyJ)[A-Za-z0-9_.\-]{8,}
    | \b(?:password|passwd|secret|token|api[_-]?key)\b\s*[=:]\s*\S+
    | ://[^/\s:@]+:[^/\s@]+@
    """
)


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """`environment` is its class: `production`, or the platform's name. What is not known stays empty."""

    title: str
    text: str = ""
    action: str = ""
    service: str = ""
    environment: str = ""
    labels: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    size: str = ""
    author_class: str = ""
    hour: str = ""

    @property
    def prose(self) -> str:
        return f"{self.title}\n{self.text}".strip()

    @property
    def facts(self) -> Iterator[tuple[str, str]]:
        """(field, value) of all that is no prose."""
        for field in ("action", "service", "environment", "size", "author_class", "hour"):
            if value := getattr(self, field):
                yield field, value
        yield from (("label", label) for label in self.labels)
        yield from (("path", path) for path in self.paths)

    @property
    def words(self) -> str:
        """The whole of it as one text, for full text search and for models."""
        return "\n".join([self.prose, *(f"{field} {value}" for field, value in self.facts)])[:TEXT_MAX_CHARACTERS]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """`nearness` is the cosine, or the rank of a full text search: comparable within one answer alone."""

    id: int
    kind: DocumentKind
    key: str
    fields: Document
    url: str
    at: datetime
    nearness: float


def document(
    *, title: str, text: str = "", labels: Sequence[str] = (), paths: Sequence[str] = (), **fields: str
) -> Document:
    """Of text from outside: one line each, bounded, without what looks like a secret."""
    return Document(
        title=_clean(title, TITLE_MAX_CHARACTERS),
        text=_clean(text, TEXT_MAX_CHARACTERS),
        labels=tuple(sorted({_clean(label, TITLE_MAX_CHARACTERS) for label in labels})[:LISTED_MAX]),
        paths=top_folders(paths),
        **{name: _clean(value, TITLE_MAX_CHARACTERS) for name, value in fields.items()},
    )


def top_folders(paths: Sequence[str]) -> tuple[str, ...]:
    """Where most of the files lie: folders of at most two levels, the fullest first."""
    counts: dict[str, int] = {}
    for path in paths:
        folder = "/".join(path.split("/")[:-1][:2]) or path
        counts[folder] = counts.get(folder, 0) + 1
    fullest = sorted(counts, key=lambda folder: (-counts[folder], folder))[:LISTED_MAX]
    return tuple(_clean(folder, TITLE_MAX_CHARACTERS) for folder in fullest)


def hour_class(hour: int, *, is_weekend: bool) -> str:
    """`hour` of the day in UTC."""
    return "weekend" if is_weekend else HOURS[hour // 6]


def _clean(text: str, characters_max: int) -> str:
    return plain(_SECRET.sub("…", text[: 4 * characters_max]), characters_max=characters_max)
