"""Codecov notifications."""

from ingest.readers import body_hash
from ingest.schemes import Token
from ingest.source import Source

SOURCE = Source(
    name="codecov",
    title="Codecov",
    scheme=Token(in_url=True),
    delivery_id=body_hash,
    event_name=lambda _, __: "coverage",
    grades=frozenset({"payload", "facts"}),
)
