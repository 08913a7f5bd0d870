"""New Relic: issues by workflows, incidents by the older notification channels; both template their bodies."""

from ingest.readers import body_hash, field, first
from ingest.schemes import Token
from ingest.source import Source

SOURCE = Source(
    name="newrelic",
    title="New Relic",
    scheme=Token(),
    delivery_id=body_hash,
    event_name=first(field("state"), field("current_state")),
    grades=frozenset({"payload", "facts", "sequence"}),
)
