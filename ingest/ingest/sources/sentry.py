"""Sentry's integration platform. It waits one second and never sends again."""

from ingest.readers import field, first, header, joined
from ingest.schemes import HmacHex
from ingest.source import Source

RESOURCE = header("sentry-hook-resource")

SOURCE = Source(
    name="sentry",
    title="Sentry",
    scheme=HmacHex(header="sentry-hook-signature", alias="sentry-app-signature"),
    delivery_id=header("request-id"),
    event_name=first(joined(".", RESOURCE, field("action")), RESOURCE),
    sent=header("sentry-hook-timestamp"),
    limit_s=1,
    grades=frozenset({"payload", "vector", "facts", "sequence"}),
)
