"""Datadog's webhooks integration: the operator templates the body, as JSON or encoded as a form."""

from urllib.parse import parse_qs

from ingest.headers import Headers
from ingest.readers import field, first, joined
from ingest.schemes import Token
from ingest.source import Reader, Source


def _told(name: str) -> Reader:
    return first(field(name), _form_field(name))


def _form_field(name: str) -> Reader:
    def reader(_: Headers, body: bytes) -> str:
        if body.lstrip()[:1] in (b"{", b"["):
            return ""
        try:
            return parse_qs(body.decode()).get(name, [""])[0]
        except ValueError:
            return ""

    return reader


TRANSITION = _told("alert_transition")

SOURCE = Source(
    name="datadog",
    title="Datadog",
    scheme=Token(),
    # Never by `id` or `alert_id` alone: operators put the monitor's there, and a recovery would be taken for a repeat.
    delivery_id=joined(":", _told("event_id"), TRANSITION),
    event_name=TRANSITION,
    limit_s=15,
    grades=frozenset({"payload", "facts", "sequence"}),
)
