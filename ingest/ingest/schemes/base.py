"""What every scheme has in common.

Rejection
├── SignatureInvalid   missing, malformed, wrong
└── SignatureStale     right, but signed too long ago (or in the future)
KeyNeeded (of shared)  a public key has to be fetched first; the URL was checked
"""

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from ingest.headers import Headers
from shared.identity import runs

HEX = re.compile(rb"(?:[0-9a-f]{2}){20,64}")
DIGITS = re.compile(rb"[0-9]{1,12}")
TOLERANCE_S = 300  # what Slack, Standard Webhooks and Buildkite ask of a receiver
MALFORMED = b""

# What else may stand in a source's comma list, and is never a bearer token: a signing key, and what is public.
SIGNING_KEY = b"whsec_"
TOPIC = b"arn:"
TRUST = runs.TRUST.encode()


class Rejection(Exception):
    """The delivery proves nothing. `reason` is a bounded label for the metric, never part of the answer."""

    reason = "rejected"


class SignatureInvalid(Rejection):
    reason = "signature"


class SignatureStale(Rejection):
    reason = "stale"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the live secrets matched, what travels along so that it can be checked again, and who it proves."""

    slot: int
    timestamp: str = ""
    signature: str = ""
    sender: str = ""


class Scheme(Protocol):
    def verify(self, headers: Headers, body: bytes, secrets: Sequence[bytes], now: datetime) -> Evidence:
        """Raises a Rejection; KeyNeeded where keys are the sender's."""
        ...


class Signed(Scheme, Protocol):
    def applies(self, headers: Headers, secrets: Sequence[bytes]) -> bool:
        """Whether the delivery claims to be signed like this: then nothing else can prove its origin."""
        ...


def matching_slot(
    signatures: Sequence[bytes], signed: bytes, keys: Sequence[bytes | None], algorithm: str = "sha256"
) -> int:
    """Index of the key that made one of the signatures (raw digests). Every pair is compared: time tells nothing.

    A None is no key of this kind. Without any a digest is computed all the same. Raises SignatureInvalid.
    """
    found = -1
    for slot, key in enumerate(keys or (None,)):
        digest = hmac.digest(key or b"no secret is configured", signed, algorithm)
        for signature in signatures:
            if hmac.compare_digest(digest, signature) and found < 0 and key:
                found = slot
    if found < 0:
        raise SignatureInvalid("no match")
    return found


def hex_after(prefix: bytes, value: bytes) -> bytes:
    """The digest behind the prefix; what is malformed matches nothing. Lower case alone: no sender writes another."""
    digits = value[len(prefix) :]
    well_formed = value.startswith(prefix) and HEX.fullmatch(digits) is not None
    return bytes.fromhex(digits.decode()) if well_formed else MALFORMED


def decoded(value: bytes) -> bytes:
    """Strict base64, of one spelling alone; what is malformed matches nothing."""
    try:
        found = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return MALFORMED
    return found if base64.b64encode(found) == value else MALFORMED


def require_fresh(name: str, seconds: float, now: datetime, *, tolerance_s: float = TOLERANCE_S) -> None:
    """Raises SignatureStale, which says how far the two clocks are apart."""
    off_s = seconds - now.timestamp()
    if abs(off_s) > tolerance_s:
        raise SignatureStale(f"{name} is {off_s:+.0f} s off our clock")
