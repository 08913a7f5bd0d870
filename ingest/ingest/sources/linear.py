"""Linear: the time that counts against replay stands in the signed body."""

from ingest.readers import field, first, header, joined
from ingest.schemes import Linear
from ingest.source import Source

TYPE = first(header("linear-event"), field("type"))

SOURCE = Source(
    name="linear",
    title="Linear",
    scheme=Linear(),
    delivery_id=header("linear-delivery"),
    event_name=first(joined(".", TYPE, field("action")), TYPE),
    limit_s=5,
    grades=frozenset({"payload", "vector", "facts", "sequence"}),
)
