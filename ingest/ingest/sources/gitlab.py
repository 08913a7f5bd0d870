"""GitLab and GitLab CI: project, group and system hooks, and external status checks."""

from ingest.readers import field, first, header
from ingest.schemes import HmacHex, SignedOrToken, StandardWebhooks, Token
from ingest.source import MIB, Source

SOURCE = Source(
    name="gitlab",
    title="GitLab and GitLab CI",
    scheme=SignedOrToken(
        signed=StandardWebhooks(),
        others=(HmacHex(header="x-gitlab-signature"),),  # of external status checks
        token=Token(headers=("x-gitlab-token",)),
    ),
    # Not `X-Gitlab-Event-UUID`: it is another one in each attempt, and recursive hooks share it.
    delivery_id=header("idempotency-key", "webhook-id"),
    event_name=first(field("object_kind"), header("x-gitlab-event")),
    limit_s=10,
    body_max_bytes=25 * MIB,
    grades=frozenset({"payload", "vector", "facts", "sequence"}),
)
