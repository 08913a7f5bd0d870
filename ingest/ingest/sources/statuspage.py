"""Statuspage subscriptions."""

from ingest.readers import body_hash, field
from ingest.schemes import Token
from ingest.source import Source

SOURCE = Source(
    name="statuspage",
    title="Statuspage",
    scheme=Token(in_url=True),
    delivery_id=body_hash,
    event_name=field("incident.status"),
    grades=frozenset({"payload", "facts", "sequence"}),
)
