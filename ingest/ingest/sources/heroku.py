"""Heroku app webhooks."""

from ingest.readers import field
from ingest.schemes import HmacBase64
from ingest.source import Source

SOURCE = Source(
    name="heroku",
    title="Heroku",
    scheme=HmacBase64(header="heroku-webhook-hmac-sha256"),
    # Not the attempt's id, which is another in each; the bytes differ by it as well.
    delivery_id=field("webhook_metadata.delivery.id"),
    event_name=field("resource"),
    grades=frozenset({"payload", "vector", "facts", "sequence"}),
)
