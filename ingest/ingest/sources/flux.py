"""Flux's notification-controller."""

from ingest.readers import body_hash, field
from ingest.schemes import HmacNamed, SignedOrToken, Token
from ingest.source import Source

SOURCE = Source(
    name="flux",
    title="Flux",
    scheme=SignedOrToken(signed=HmacNamed(header="x-signature"), token=Token()),
    delivery_id=body_hash,
    event_name=field("reason"),
    grades=frozenset({"payload", "vector", "facts", "sequence"}),
)
