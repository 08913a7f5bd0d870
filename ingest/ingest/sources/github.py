"""GitHub, GitHub Actions included: repository, organisation and App webhooks."""

from ingest.readers import header
from ingest.schemes import HmacHex
from ingest.source import MIB, Source

SOURCE = Source(
    name="github",
    title="GitHub and GitHub Actions",
    scheme=HmacHex(header="x-hub-signature-256", prefix=b"sha256="),
    delivery_id=header("x-github-delivery"),
    event_name=header("x-github-event"),
    limit_s=10,
    body_max_bytes=25 * MIB,
    grades=frozenset({"payload", "vector", "facts", "sequence", "tried"}),
)
