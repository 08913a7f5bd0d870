"""Bitbucket Cloud and Data Center."""

from ingest.readers import field, first, header
from ingest.schemes import HmacHex
from ingest.source import Source

SOURCE = Source(
    name="bitbucket",
    title="Bitbucket Cloud and Data Center",
    scheme=HmacHex(header="x-hub-signature", prefix=b"sha256="),
    delivery_id=header("x-request-uuid", "x-request-id"),
    event_name=first(header("x-event-key"), field("eventKey")),
    limit_s=10,
    grades=frozenset({"payload", "vector", "facts", "sequence"}),
)
