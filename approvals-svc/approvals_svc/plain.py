"""Text from outside, made fit for a column, a card and a comment."""

from collections.abc import Mapping
from typing import Any

import msgspec

REASON_MAX_CHARACTERS = 1000
DOCUMENT_MAX_BYTES = 16 * 1024


class Unstorable(ValueError):
    """A document that is too large, or no text that PostgreSQL takes."""


def plain(text: str, *, characters_max: int) -> str:
    """No control characters (PostgreSQL refuses NUL), one line, cut with an ellipsis."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= characters_max else line[: characters_max - 1] + "…"


def storable(document: Mapping[str, Any]) -> dict[str, Any]:
    """The same. Raises Unstorable."""
    try:
        written = msgspec.json.encode(document)
    except (UnicodeEncodeError, OverflowError, RecursionError, TypeError) as error:
        raise Unstorable(f"it is no JSON that can be kept: {type(error).__name__}") from None
    if len(written) > DOCUMENT_MAX_BYTES:
        raise Unstorable(f"it is larger than {DOCUMENT_MAX_BYTES} bytes")
    if b"\\u0000" in written:
        raise Unstorable("it holds a NUL")
    return dict(document)
