"""Standard Webhooks: any sender of that scheme, each under a name of its own (incident.io is understood)."""

from ingest.readers import field, first, header
from ingest.schemes import StandardWebhooks
from ingest.source import Source

SOURCE = Source(
    name="standard_webhooks",
    title="Standard Webhooks (incident.io and others)",
    scheme=StandardWebhooks(),
    secret_variables=("STANDARD_WEBHOOKS_SECRETS",),
    delivery_id=header("webhook-id"),
    event_name=first(field("type"), field("event_type")),
    named="standard",
    grades=frozenset({"vector", "sequence"}),
)
