"""CloudEvents in any of their three spellings; CDEvents are understood."""

from ingest.readers import field, first, header, joined
from ingest.schemes import Token
from ingest.source import Source

SOURCE = Source(
    name="cloudevents",
    title="CloudEvents and CDEvents",
    scheme=Token(),
    delivery_id=first(
        joined(":", header("ce-source"), header("ce-id")),
        joined(":", field("source"), field("id")),
        joined(":", field("context.source"), field("context.id")),
    ),
    event_name=first(header("ce-type"), field("type"), field("context.type")),
    sent=header("ce-time"),
    preflight=True,
    grades=frozenset({"payload", "facts", "sequence"}),
)
