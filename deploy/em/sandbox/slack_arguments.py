"""What the methods of Slack's Web API share: arguments as they come in, and pages as they go out."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from em.sandbox.workspace import Refusal

PAGE_MAX = 999

Arguments = dict[str, Any]
Answer = dict[str, Any]
Item = TypeVar("Item")


def required(arguments: Arguments, name: str) -> Any:
    if arguments.get(name) in (None, ""):
        raise Refusal("invalid_arguments", f"[ERROR] missing required field: {name}")
    return arguments[name]


def flag(arguments: Arguments, name: str) -> bool:
    return str(arguments.get(name, "")).lower() in ("1", "true")


def decoded(given: Any) -> Any:
    """Forms carry structured arguments as JSON text; text that is no JSON stays text."""
    if not isinstance(given, str):
        return given
    try:
        return msgspec.json.decode(given)
    except msgspec.DecodeError:
        return given


def page(items: Sequence[Item], keys: list[str], arguments: Arguments) -> tuple[Sequence[Item], str]:
    """One page and the cursor of the next, empty at the end."""
    limit = str(arguments.get("limit") or 100)
    if not limit.isdigit() or not 1 <= int(limit) <= PAGE_MAX:
        raise Refusal("invalid_limit")
    start = _position(keys, arguments.get("cursor"))
    end = start + int(limit)
    cursor = base64.b64encode(f"next:{keys[end]}".encode()).decode() if end < len(keys) else ""
    return items[start:end], cursor


def _position(keys: list[str], cursor: Any) -> int:
    if not cursor:
        return 0
    try:
        return keys.index(base64.b64decode(cursor, validate=True).decode().removeprefix("next:"))
    except (ValueError, binascii.Error) as broken:
        raise Refusal("invalid_cursor") from broken
