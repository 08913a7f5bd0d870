"""Shortcut outgoing webhooks, version 1."""

import msgspec

from ingest.headers import Headers
from ingest.readers import field
from ingest.schemes import HmacHex
from ingest.source import Source


class _Action(msgspec.Struct):
    entity_type: str = ""
    action: str = ""


class _Body(msgspec.Struct):
    actions: list[_Action] = []


def _event(_: Headers, body: bytes) -> str:
    """The first action on a story, else the first: a story's may come behind that of its pull request."""
    try:
        actions = msgspec.json.decode(body, type=_Body).actions
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    named = [f"{each.entity_type}.{each.action}" for each in actions if each.entity_type and each.action]
    return next((name for name in named if name.startswith("story.")), next(iter(named), ""))


SOURCE = Source(
    name="shortcut",
    title="Shortcut",
    scheme=HmacHex(header="payload-signature"),
    delivery_id=field("id"),
    event_name=_event,
    grades=frozenset({"payload", "vector", "facts", "sequence"}),
)
