"""Azure DevOps service hooks."""

from ingest.readers import field, joined
from ingest.schemes import Token
from ingest.source import Source

SOURCE = Source(
    name="azure_devops",
    title="Azure DevOps",
    scheme=Token(),
    delivery_id=joined(":", field("id"), field("subscriptionId"), field("notificationId")),
    event_name=field("eventType"),
    grades=frozenset({"payload", "facts", "sequence"}),
)
