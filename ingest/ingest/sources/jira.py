"""Jira, Cloud and Data Center: webhooks with a secret are signed, older servers put a token into the URL."""

from ingest.readers import field, header
from ingest.schemes import HmacHex, SignedOrToken, Token
from ingest.source import Source

SOURCE = Source(
    name="jira",
    title="Jira",
    scheme=SignedOrToken(
        signed=HmacHex(header="x-hub-signature", prefix=b"sha256="),
        token=Token(in_url=True),
    ),
    delivery_id=header("x-atlassian-webhook-identifier"),
    event_name=field("webhookEvent"),
    limit_s=20,
    grades=frozenset({"payload", "facts", "sequence"}),
)
