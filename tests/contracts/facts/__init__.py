"""What an independent reader finds in the corpus' payloads: one module per source.

`expected(entry, body)` are the kinds of events, in order; `facts(entry, body, event)` fields of one of them, by name.
`entry` is the manifest's, `body` the decoded payload.
"""

import json
from datetime import datetime
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs

from tests.translations import RECEIVED

Facts = dict[str, Any]


def decoded(body: str) -> Any:
    return json.loads(body if body.lstrip().startswith(("{", "[")) else parse_qs(body)["payload"][0])


def at(body: Any, path: str, default: Any = None) -> Any:
    """The value at a dotted path; the default where any of it is missing or null."""
    for name in path.split("."):
        body = body.get(name) if isinstance(body, dict) else None
    return default if body is None else body


def time(spelling: Any) -> datetime | None:
    """Epoch seconds, or a text that Python itself can read."""
    if isinstance(spelling, int | float):
        return datetime.fromtimestamp(spelling, tz=RECEIVED.tzinfo)
    return datetime.fromisoformat(spelling) if spelling else None


Reader = ModuleType
