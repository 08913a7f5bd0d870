"""CircleCI."""

from ingest.readers import field
from ingest.schemes import HmacList
from ingest.source import Source

SOURCE = Source(
    name="circleci",
    title="CircleCI",
    scheme=HmacList(header="circleci-signature"),
    delivery_id=field("id"),
    event_name=field("type"),
    limit_s=10,
    grades=frozenset({"payload", "vector", "facts", "sequence"}),
)
