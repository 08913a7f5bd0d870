"""Gitea and Forgejo. Both also send GitHub's headers: the route says whose they are."""

from ingest.readers import header
from ingest.schemes import HmacHex
from ingest.source import Source

SOURCE = Source(
    name="gitea",
    title="Gitea and Forgejo",
    scheme=HmacHex(header="x-gitea-signature", alias="x-forgejo-signature"),
    delivery_id=header("x-gitea-delivery", "x-forgejo-delivery"),
    event_name=header("x-gitea-event", "x-forgejo-event"),
    grades=frozenset({"payload", "facts", "sequence"}),
)
