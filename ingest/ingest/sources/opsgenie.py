"""Opsgenie's outgoing webhook integration."""

from ingest.readers import body_hash, field
from ingest.schemes import Token
from ingest.source import Source

SOURCE = Source(
    name="opsgenie",
    title="Opsgenie",
    scheme=Token(),
    delivery_id=body_hash,
    event_name=field("action"),
    grades=frozenset({"payload", "facts", "sequence"}),
)
