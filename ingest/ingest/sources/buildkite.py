"""Buildkite."""

from ingest.readers import field, first, header
from ingest.schemes import Buildkite, SignedOrToken, Token
from ingest.source import Source

SOURCE = Source(
    name="buildkite",
    title="Buildkite",
    scheme=SignedOrToken(signed=Buildkite(), token=Token(headers=("x-buildkite-token",))),
    delivery_id=header("x-buildkite-request"),
    event_name=first(header("x-buildkite-event"), field("event")),
    grades=frozenset({"vector", "sequence"}),
)
