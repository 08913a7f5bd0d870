"""Jenkins, by its Notification plugin or a step of the pipeline."""

from ingest.readers import body_hash, field
from ingest.schemes import Token
from ingest.source import Source

SOURCE = Source(
    name="jenkins",
    title="Jenkins",
    scheme=Token(),
    delivery_id=body_hash,
    event_name=field("build.phase"),
    limit_s=30,
    grades=frozenset({"payload", "facts", "sequence"}),
)
