"""How a declaration says where the platform's delivery id and event name stand. What isn't there reads as ""."""

from typing import Any

import msgspec

from ingest.headers import Headers
from ingest.source import Reader


def header(*names: str) -> Reader:
    """The first of these headers that is there."""
    return lambda headers, _: next((text for name in names if (text := headers.text(name))), "")


def field(path: str) -> Reader:
    """A text or number in a JSON body, by its dotted path; all that the path doesn't name is skipped unread."""
    shape = _shape(path.split("."))

    def reader(_: Headers, body: bytes) -> str:
        try:
            value = msgspec.json.decode(body, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ""
        for _name in path.split("."):
            value = value.value
            if value is None:
                return ""
        return str(value)

    return reader


def first(*readers: Reader) -> Reader:
    return lambda headers, body: next((text for reader in readers if (text := reader(headers, body))), "")


def joined(separator: str, *readers: Reader) -> Reader:
    """Only where all of them are there: an id with a hole in it would be another delivery's as well."""

    def reader(headers: Headers, body: bytes) -> str:
        texts = [each(headers, body) for each in readers]
        return separator.join(texts) if all(texts) else ""

    return reader


def body_hash(_: Headers, __: bytes) -> str:
    """The sender has no id of its own."""
    return ""


def _shape(names: list[str]) -> Any:
    """A struct for one path: `value` is read from the field of that name, at the end a text or a number."""
    inner: Any = str | int | None
    for name in reversed(names):
        inner = msgspec.defstruct("_At", [("value", inner | None, None)], rename={"value": name})
    return inner
