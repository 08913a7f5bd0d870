"""Reads a body into the fields that a translation names; whatever can't be read is Untranslatable."""

import re
from datetime import datetime
from typing import Annotated, TypeVar
from urllib.parse import parse_qs

import msgspec

from normalizer.disposition import Untranslatable
from normalizer.times import InvalidTime, Spelling, instant

T = TypeVar("T")
Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]  # what a Postgres integer holds

# An escaped NUL that is not itself an escaped backslash followed by `u0000`: Postgres can't hold NUL in a text.
_ESCAPED_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def read(json: bytes, shape: type[T]) -> T:
    """Fields that `shape` doesn't name are ignored; NUL characters are left out. Raises Untranslatable."""
    if b"\\u0000" in json:
        json = _ESCAPED_NUL.sub(rb"\1", json)
    try:
        return msgspec.json.decode(json, type=shape)
    except msgspec.ValidationError as error:
        raise Untranslatable(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Untranslatable(f"body is not JSON: {error}") from None


def form(body: bytes) -> dict[str, str]:
    """The first value of each field of an urlencoded body. Raises Untranslatable."""
    try:
        fields = parse_qs(body.decode(), keep_blank_values=True)
    except ValueError as error:
        raise Untranslatable(f"body is neither JSON nor a form: {error}") from None
    return {name: values[0].replace("\x00", "") for name, values in fields.items()}


def is_json(body: bytes) -> bool:
    """By its first character; the content type is not to be trusted."""
    return body.lstrip()[:1] in (b"{", b"[")


def moment(name: str, spelling: Spelling) -> datetime | None:
    """The time in the field called `name`. Raises Untranslatable when it is not a time."""
    try:
        return instant(spelling)
    except InvalidTime as error:
        raise Untranslatable(f"{name}: {error}") from None


def needed_moment(name: str, *spellings: Spelling) -> datetime:
    """The first of them that is there. Raises Untranslatable when none is."""
    for spelling in spellings:
        if (found := moment(name, spelling)) is not None:
            return found
    raise Untranslatable(f"{name} is missing")
