"""Prometheus Alertmanager."""

from ingest.readers import body_hash, field
from ingest.schemes import Token
from ingest.source import Source

SOURCE = Source(
    name="prometheus",
    title="Prometheus Alertmanager",
    scheme=Token(),
    delivery_id=body_hash,
    event_name=field("status"),
    aliases=("alertmanager",),
    grades=frozenset({"sequence"}),
)
