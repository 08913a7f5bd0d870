"""Grafana: unified alerting, and the alerts before it."""

from ingest.readers import body_hash, field, first
from ingest.schemes import Grafana, SignedOrToken, Token
from ingest.source import Source

SOURCE = Source(
    name="grafana",
    title="Grafana alerting",
    scheme=SignedOrToken(signed=Grafana(), token=Token()),
    delivery_id=body_hash,
    event_name=first(field("status"), field("state")),
    grades=frozenset({"payload", "facts", "sequence"}),
)
