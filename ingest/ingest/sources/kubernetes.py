"""Kubernetes, by kubewatch's CloudEvents or kubernetes-event-exporter."""

from ingest.readers import field, first, header, joined
from ingest.schemes import Token
from ingest.source import Source

SOURCE = Source(
    name="kubernetes",
    title="Kubernetes",
    scheme=Token(),
    delivery_id=first(joined(":", header("ce-source"), header("ce-id")), joined(":", field("source"), field("id"))),
    event_name=first(header("ce-type"), field("type")),
    grades=frozenset({"payload", "facts", "sequence"}),
)
