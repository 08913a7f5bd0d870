"""SonarQube Server and Cloud."""

from ingest.readers import body_hash, field
from ingest.schemes import HmacHex, SignedOrToken, Token
from ingest.source import Source

SOURCE = Source(
    name="sonarqube",
    title="SonarQube",
    scheme=SignedOrToken(signed=HmacHex(header="x-sonar-webhook-hmac-sha256"), token=Token()),
    # The task's id alone would lose a gate that changes without a new analysis.
    delivery_id=body_hash,
    event_name=field("qualityGate.status"),
    limit_s=10,
    grades=frozenset({"payload", "vector", "facts"}),
)
