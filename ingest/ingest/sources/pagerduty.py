"""PagerDuty webhooks v3."""

import msgspec

from ingest.headers import Headers
from ingest.schemes import HmacList
from ingest.source import Source


class _Event(msgspec.Struct):
    id: str = ""
    event_type: str = ""


class _Envelope(msgspec.Struct):
    event: _Event = msgspec.field(default_factory=_Event)


def _event(body: bytes) -> _Event:
    try:
        return msgspec.json.decode(body, type=_Envelope).event
    except (msgspec.DecodeError, RecursionError):
        return _Event()


def _delivery_id(headers: Headers, body: bytes) -> str:
    return headers.text("x-webhook-id") or _event(body).id


SOURCE = Source(
    name="pagerduty",
    title="PagerDuty v3",
    scheme=HmacList(header="x-pagerduty-signature"),
    delivery_id=_delivery_id,
    event_name=lambda _, body: _event(body).event_type,
    limit_s=5,
)
