"""PagerDuty webhooks v3."""

from ingest.readers import field, first, header
from ingest.schemes import HmacList
from ingest.source import Source

SOURCE = Source(
    name="pagerduty",
    title="PagerDuty v3",
    scheme=HmacList(header="x-pagerduty-signature"),
    delivery_id=first(header("x-webhook-id"), field("event.id")),
    event_name=field("event.event_type"),
    limit_s=5,
    grades=frozenset({"payload", "vector", "facts", "sequence", "tried"}),
)
