"""Ways of proving origin: a small closed set, pure functions over the exact bytes received (sources.md, section 4)."""

from ingest.schemes.base import Evidence, Rejection, Scheme, SignatureInvalid, SignatureStale
from ingest.schemes.body import HmacBase64, HmacHex, HmacList, HmacNamed
from ingest.schemes.oidc import Oidc
from ingest.schemes.sns import Sns
from ingest.schemes.timestamped import Buildkite, Grafana, Linear, SlackV0, StandardWebhooks
from ingest.schemes.token import SignedOrToken, Token
from shared.identity.issuers import KeyNeeded

__all__ = [
    "Buildkite",
    "Evidence",
    "Grafana",
    "HmacBase64",
    "HmacHex",
    "HmacList",
    "HmacNamed",
    "KeyNeeded",
    "Linear",
    "Oidc",
    "Rejection",
    "Scheme",
    "SignatureInvalid",
    "SignatureStale",
    "SignedOrToken",
    "SlackV0",
    "Sns",
    "StandardWebhooks",
    "Token",
]
