"""The words after a command, of the types that its usage names: `[#channel] [hours]`, `<id> <text>`. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

_WORD = re.compile(r'"(?P<quoted>[^"]*)"|“(?P<curly>[^”]*)”|(?P<bare>\S+)')
_SLOT = re.compile(r"(?P<open>[<\[])(?P<name>[^>\]]+)[>\]]")
# Slack sends `<#C024|name>`, or what was typed where it doesn't escape.
_CHANNEL = re.compile(r"<#(?P<id>[CG][A-Z0-9]{1,20})(?:\|[^<>]*)?>|(?P<name>#[^\s#<>|,]{1,80})")
# `<@U024|name>`, or a name of the catalog.
_USER = re.compile(r"<@(?P<id>[UW][A-Z0-9]{1,20})(?:\|[^<>]*)?>|@?(?P<name>[^\s@<>|,]{1,100})")
_DURATION = re.compile(r"[1-9][0-9]{0,3}[hdwHDW]", re.ASCII)
_NUMBER = re.compile(r"#?([0-9]{1,18})", re.ASCII)
_NAME = re.compile(r"(?=.*[^0-9])[^\s<>`]{1,100}")
_ID = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_SEVERITY = re.compile(r"[Ss][0-3]")


class Unfit(ValueError):
    """Words that a command can't take; the text names which argument, and what it must be."""


class Type(NamedTuple):
    """`read` answers None for a word that is none of the type."""

    must: str
    read: Callable[[str], str | None]


class Word(NamedTuple):
    """`begin`: where it stands in the text, with its quotes."""

    text: str
    begin: int


class Slot(NamedTuple):
    name: str
    needed: bool


def words(text: str) -> list[Word]:
    """Straight and curly quotes (a phone's) hold words together."""
    return [
        Word(next(part for part in found.groups() if part is not None), found.start()) for found in _WORD.finditer(text)
    ]


def read(usage: str, text: str) -> Mapping[str, str]:
    """What was given, by the names of the usage; an optional one that a word doesn't fit is passed over.

    A name without a type takes all that is left, quotes apart that hold all of it. Raises Unfit.
    """
    rest, given, passed = words(text), {}, []
    for slot in slots(usage):
        kind = TYPES.get(slot.name)
        if not rest and slot.needed:
            raise Unfit(f"{slot.name}: is missing")
        if not rest:
            continue
        if kind is None:
            given[slot.name] = rest[0].text if len(rest) == 1 else text[rest[0].begin :].strip()
            rest = []
        elif (value := kind.read(rest[0].text)) is not None:
            given[slot.name] = value
            rest = rest[1:]
        elif slot.needed:
            raise Unfit(f"{slot.name}: must be {kind.must}")
        else:
            passed.append(f"{slot.name}: must be {kind.must}")
    if rest:
        raise Unfit("; ".join(passed) or "there are more words than it takes")
    return given


def slots(usage: str) -> Iterator[Slot]:
    """`<needed>` and `[optional]`."""
    return (Slot(found["name"], found["open"] == "<") for found in _SLOT.finditer(usage))


def _channel(word: str) -> str | None:
    found = _CHANNEL.fullmatch(word)
    return found and (found["id"] or found["name"].lower())


def _user(word: str) -> str | None:
    found = _USER.fullmatch(word)
    return found and (f"@{found['id']}" if found["id"] else found["name"])


def _count(most: int) -> Type:
    def read_count(word: str) -> str | None:
        return word if re.fullmatch("[0-9]{1,5}", word) and 1 <= int(word) <= most else None

    return Type(f"a number from 1 to {most}", read_count)


def _number(word: str) -> str | None:
    found = _NUMBER.fullmatch(word)
    return found and found[1]


def _fitting(pattern: re.Pattern[str], must: str, spell: Callable[[str], str] = str) -> Type:
    return Type(must, lambda word: spell(word) if pattern.fullmatch(word) else None)


TYPES: Mapping[str, Type] = {
    "#channel": Type("a channel, such as #payments", _channel),
    "@user": Type("somebody, such as @di", _user),
    "duration": _fitting(_DURATION, "hours, days or weeks, such as 12h, 3d or 1w", str.lower),
    "hours": _count(168),
    "days": _count(3_660),
    "number": Type("a number, such as 7", _number),
    "service": _fitting(_NAME, "the name of a service"),
    "kind": _fitting(_NAME, "a kind of signal", str.lower),
    "id": _fitting(_ID, "an id, such as K7Q2M4XZ", str.upper),
    "severity": _fitting(_SEVERITY, "S0, S1, S2 or S3", str.upper),
}
