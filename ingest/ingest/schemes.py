"""Ways of proving origin: a small closed set, pure functions over the exact bytes received.

Rejection
├── SignatureInvalid   missing, malformed, wrong
└── SignatureStale     right, but signed too long ago (or in the future)
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from ingest.headers import Headers

HEX_SHA256 = re.compile(rb"[0-9a-f]{64}")
DIGITS = re.compile(rb"[0-9]{1,12}")


class Rejection(Exception):
    """The delivery proves nothing. `reason` is a bounded label for the metric, never part of the answer."""

    reason = "rejected"


class SignatureInvalid(Rejection):
    reason = "signature"


class SignatureStale(Rejection):
    reason = "stale"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the live secrets matched, and what travels along so that it can be checked again."""

    slot: int
    timestamp: str = ""
    signature: str = ""


class Scheme(Protocol):
    def verify(self, headers: Headers, body: bytes, secrets: Sequence[bytes], now: datetime) -> Evidence:
        """Raises a Rejection."""
        ...


class HmacHex(msgspec.Struct, frozen=True, kw_only=True):
    """HMAC-SHA256 of the body, in lower-case hex behind a fixed prefix (GitHub: `sha256=`)."""

    header: str
    prefix: bytes

    def verify(self, headers: Headers, body: bytes, secrets: Sequence[bytes], now: datetime) -> Evidence:
        return Evidence(slot=matching_slot([_hex_after(self.prefix, headers.single(self.header))], body, secrets))


class HmacList(msgspec.Struct, frozen=True, kw_only=True):
    """A comma list of `v1=<hex>`: while rotating, the sender signs with every live key (PagerDuty)."""

    header: str
    version: bytes = b"v1="
    signatures_max: int = 16

    def verify(self, headers: Headers, body: bytes, secrets: Sequence[bytes], now: datetime) -> Evidence:
        values = headers.single(self.header).split(b",")[: self.signatures_max]
        known = [value.strip() for value in values if value.strip().startswith(self.version)]
        if not known:
            raise SignatureInvalid(self.header)
        return Evidence(slot=matching_slot([_hex_after(self.version, value) for value in known], body, secrets))


class SlackV0(msgspec.Struct, frozen=True, kw_only=True):
    """`v0:<timestamp>:<body>`, at most 300 s old (Slack, "Verifying requests")."""

    tolerance_s: int = 300

    def verify(self, headers: Headers, body: bytes, secrets: Sequence[bytes], now: datetime) -> Evidence:
        timestamp = headers.single("x-slack-request-timestamp")
        if not DIGITS.fullmatch(timestamp):
            raise SignatureInvalid("x-slack-request-timestamp")
        signature = headers.single("x-slack-signature")
        slot = matching_slot([_hex_after(b"v0=", signature)], b"v0:" + timestamp + b":" + body, secrets)
        if abs(now.timestamp() - int(timestamp)) > self.tolerance_s:
            raise SignatureStale("x-slack-request-timestamp")
        return Evidence(slot=slot, timestamp=timestamp.decode(), signature=signature.decode())


def matching_slot(signatures: Sequence[bytes], signed: bytes, secrets: Sequence[bytes]) -> int:
    """Index of the secret that made one of the hex signatures. Every pair is compared: time tells nothing.

    Without any secret a digest is computed all the same. Raises SignatureInvalid.
    """
    found = -1
    for slot, secret in enumerate(secrets or (b"no secret is configured",)):
        digest = hmac.digest(secret, signed, hashlib.sha256).hex().encode()
        for signature in signatures:
            if hmac.compare_digest(digest, signature) and found < 0 and secrets:
                found = slot
    if found < 0:
        raise SignatureInvalid("no match")
    return found


def _hex_after(prefix: bytes, value: bytes) -> bytes:
    """The hex digits, or a value of the same length that can't match: a malformed one costs the same time."""
    digits = value[len(prefix) :]
    well_formed = value.startswith(prefix) and HEX_SHA256.fullmatch(digits) is not None
    return digits if well_formed else b"-" * 64
