"""Amazon SNS: the signature stands in the body, made with the key of a certificate at a URL that the body names.

A valid signature proves only that some AWS account sent this: the topic has to be one of ours. Cryptography is imported
by the first such delivery: few stacks have one.
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec

from ingest.headers import Headers
from ingest.schemes.base import Evidence, SignatureInvalid, decoded, require_fresh
from shared.identity.issuers import KeyNeeded

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

CERTIFICATE_HOST = re.compile(r"sns\.[a-z0-9-]{3,}\.amazonaws\.com(\.cn)?")
AGE_MAX_S = 3600  # SNS retries for about an hour with the signature of the first attempt
CERTIFICATES_MAX = 64
# Amazon SNS, "Verifying the signatures of Amazon SNS messages": the fields that are signed, in this order.
NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
SIGNED = {
    "Notification": NOTIFICATION,
    "SubscriptionConfirmation": CONFIRMATION,
    "UnsubscribeConfirmation": CONFIRMATION,
}


class Envelope(msgspec.Struct, rename="pascal"):
    """Of an SNS message, the fields that are signed or say how."""

    type: str
    message_id: str
    topic_arn: str
    timestamp: str
    message: str
    signature: str
    signature_version: str
    signing_cert_url: str = msgspec.field(name="SigningCertURL")
    subject: str | None = None
    token: str | None = None
    subscribe_url: str | None = msgspec.field(name="SubscribeURL", default=None)

    def canonical(self) -> bytes:
        """The signed text: `Key\\nValue\\n` of each field that is there. Raises SignatureInvalid."""
        if self.type not in SIGNED:
            raise SignatureInvalid("Type")
        told = msgspec.to_builtins(self)
        return "".join(f"{name}\n{told[name]}\n" for name in SIGNED[self.type] if told[name] is not None).encode()


class Sns:
    """RSA with SHA-1 (version 1) or SHA-256 (version 2). The configured secrets are the topics' ARNs."""

    def __init__(self) -> None:
        self._keys: dict[str, RSAPublicKey] = {}

    def verify(self, headers: Headers, body: bytes, secrets: Sequence[bytes], now: datetime) -> Evidence:
        envelope = _read(body)
        slot = _slot(envelope.topic_arn.encode(), secrets)
        _check_url(envelope.signing_cert_url)
        signed = envelope.canonical()
        key = self._keys.get(envelope.signing_cert_url)
        if key is None:
            raise KeyNeeded(envelope.signing_cert_url, partial(self.learn, envelope.signing_cert_url))
        _verify(key, signed, envelope)
        require_fresh("Timestamp", _moment(envelope.timestamp).timestamp(), now, tolerance_s=AGE_MAX_S)
        return Evidence(slot=slot)

    def applies(self, headers: Headers, secrets: Sequence[bytes]) -> bool:
        return headers.has("x-amz-sns-message-type")

    def learn(self, url: str, certificate: bytes) -> None:
        """Keeps the key of a certificate that was fetched. Raises SignatureInvalid when it is none of RSA."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

        try:
            key = x509.load_pem_x509_certificate(certificate).public_key()
        except ValueError:
            raise SignatureInvalid("SigningCertURL") from None
        if not isinstance(key, RSAPublicKey):
            raise SignatureInvalid("SigningCertURL")
        if len(self._keys) >= CERTIFICATES_MAX:
            self._keys.clear()
        self._keys[url] = key


def _verify(key: "RSAPublicKey", signed: bytes, envelope: Envelope) -> None:
    """Raises SignatureInvalid."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA1, SHA256

    try:
        hash_ = {"1": SHA1(), "2": SHA256()}[envelope.signature_version]  # noqa: S303  # SNS's own version 1
        key.verify(decoded(envelope.signature.encode()), signed, PKCS1v15(), hash_)
    except (InvalidSignature, KeyError, ValueError):
        raise SignatureInvalid("Signature") from None


def _read(body: bytes) -> Envelope:
    try:
        return msgspec.json.decode(body, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SignatureInvalid("body") from None


def _slot(topic: bytes, topics: Sequence[bytes]) -> int:
    """Before any fetch: a stranger's topic causes none. Raises SignatureInvalid."""
    try:
        return list(topics).index(topic)
    except ValueError:
        raise SignatureInvalid("TopicArn") from None


def _check_url(url: str) -> None:
    """Raises SignatureInvalid unless AWS alone can have put something there."""
    try:
        parts = urlsplit(url)
        ours = (
            parts.scheme == "https"
            and parts.port in (None, 443)
            and parts.username is None
            and CERTIFICATE_HOST.fullmatch(parts.hostname or "") is not None
            and parts.path.endswith(".pem")
            and not (parts.query or parts.fragment)
        )
    except ValueError:
        ours = False
    if not ours or not url.isascii() or not url.isprintable():
        raise SignatureInvalid("SigningCertURL")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise SignatureInvalid("Timestamp") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
