"""Signatures that cover the time, so that an old delivery can't be shown again."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from ingest.headers import Headers
from ingest.schemes.base import (
    DIGITS,
    MALFORMED,
    SIGNING_KEY,
    Evidence,
    SignatureInvalid,
    decoded,
    hex_after,
    matching_slot,
    require_fresh,
)
from ingest.schemes.body import SIGNATURES_MAX, HmacHex


class SlackV0(msgspec.Struct, frozen=True, kw_only=True):
    """`v0:<timestamp>:<body>` (Slack, "Verifying requests")."""

    def verify(self, headers: Headers, body: bytes, secrets: Sequence[bytes], now: datetime) -> Evidence:
        timestamp = _seconds(headers, "x-slack-request-timestamp")
        signature = headers.single("x-slack-signature")
        slot = matching_slot([hex_after(b"v0=", signature)], b"v0:" + timestamp + b":" + body, secrets)
        require_fresh("x-slack-request-timestamp", int(timestamp), now)
        return Evidence(slot=slot, timestamp=timestamp.decode(), signature=signature.decode())


class StandardWebhooks(msgspec.Struct, frozen=True, kw_only=True):
    """`<id>.<timestamp>.<body>` under the bytes that `whsec_…` encodes; `v1,<base64>`, several by spaces.

    Other versions (`v1a`, an asymmetric one) are skipped (the Standard Webhooks specification).
    """

    def verify(self, headers: Headers, body: bytes, secrets: Sequence[bytes], now: datetime) -> Evidence:
        timestamp = _seconds(headers, "webhook-timestamp")
        values = headers.single("webhook-signature").split(b" ")[:SIGNATURES_MAX]
        signatures = [decoded(value[3:]) for value in values if value.startswith(b"v1,")]
        if not signatures or not headers.single("webhook-id"):
            raise SignatureInvalid("webhook-signature")
        signed = b".".join((headers.single("webhook-id"), timestamp, body))
        slot = matching_slot(signatures, signed, [_signing_key(secret) for secret in secrets])
        require_fresh("webhook-timestamp", int(timestamp), now)
        return Evidence(slot=slot)

    def applies(self, headers: Headers, secrets: Sequence[bytes]) -> bool:
        """Not where only plain tokens are configured: GitLab may send both, and sign with a key we were not given."""
        return headers.has("webhook-signature") and any(secret.startswith(SIGNING_KEY) for secret in secrets)


class _LinearBody(msgspec.Struct):
    webhookTimestamp: float | None = None  # noqa: N815  # Linear's spelling


class Linear(msgspec.Struct, frozen=True, kw_only=True):
    """Bare hex over the body, which holds the time in milliseconds; the header that repeats it is not signed."""

    header: str = "linear-signature"
    tolerance_s: int = 60

    def verify(self, headers: Headers, body: bytes, secrets: Sequence[bytes], now: datetime) -> Evidence:
        evidence = HmacHex(header=self.header).verify(headers, body, secrets, now)
        try:
            milliseconds = msgspec.json.decode(body, type=_LinearBody).webhookTimestamp
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            milliseconds = None
        if milliseconds is None:
            raise SignatureInvalid("webhookTimestamp")
        require_fresh("webhookTimestamp", milliseconds / 1000, now, tolerance_s=self.tolerance_s)
        return evidence


class Buildkite(msgspec.Struct, frozen=True, kw_only=True):
    """`timestamp=<seconds>,signature=<hex>` over `<timestamp>.<body>` (Buildkite, "Webhook signature")."""

    header: str = "x-buildkite-signature"

    def verify(self, headers: Headers, body: bytes, secrets: Sequence[bytes], now: datetime) -> Evidence:
        fields = dict(part.strip().split(b"=", 1) for part in headers.single(self.header).split(b",") if b"=" in part)
        timestamp = fields.get(b"timestamp", b"")
        if not DIGITS.fullmatch(timestamp):
            raise SignatureInvalid(self.header)
        signature = hex_after(b"", fields.get(b"signature", b""))
        slot = matching_slot([signature], timestamp + b"." + body, secrets)
        require_fresh(self.header, int(timestamp), now)
        return Evidence(slot=slot)

    def applies(self, headers: Headers, secrets: Sequence[bytes]) -> bool:
        return headers.has(self.header)


class Grafana(msgspec.Struct, frozen=True, kw_only=True):
    """Bare hex over the body; over `<timestamp>:<body>` where the contact point names a timestamp header."""

    header: str = "x-grafana-alerting-signature"
    timestamps: tuple[str, ...] = ("x-grafana-alerting-timestamp", "x-grafana-alerting-signature-timestamp")

    def verify(self, headers: Headers, body: bytes, secrets: Sequence[bytes], now: datetime) -> Evidence:
        signature = hex_after(b"", headers.single(self.header))
        named = next((name for name in self.timestamps if headers.has(name)), None)
        if named is None:
            return Evidence(slot=matching_slot([signature], body, secrets))
        timestamp = _seconds(headers, named)
        slot = matching_slot([signature], timestamp + b":" + body, secrets)
        require_fresh(named, int(timestamp), now)
        return Evidence(slot=slot)

    def applies(self, headers: Headers, secrets: Sequence[bytes]) -> bool:
        return headers.has(self.header)


def _seconds(headers: Headers, name: str) -> bytes:
    """Raises SignatureInvalid."""
    value = headers.single(name)
    if not DIGITS.fullmatch(value):
        raise SignatureInvalid(name)
    return value


def _signing_key(secret: bytes) -> bytes | None:
    key = decoded(secret.removeprefix(SIGNING_KEY)) if secret.startswith(SIGNING_KEY) else MALFORMED
    return key or None
