"""Argo CD notifications, by the template of docs/sources/argocd.md."""

from ingest.readers import body_hash, field
from ingest.schemes import Token
from ingest.source import Source

SOURCE = Source(
    name="argocd",
    title="Argo CD",
    scheme=Token(),
    delivery_id=body_hash,
    event_name=field("app.status.operationState.phase"),
    grades=frozenset({"payload", "facts", "sequence"}),
)
