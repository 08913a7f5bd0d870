"""Slack's request signature, checked again before a click counts. Pure; works on bytes and never raises on input.

https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

SKEW_MAX_S = 300
TIMESTAMP = re.compile(r"[0-9]{1,12}")  # int() takes full-width digits, signs and blanks as well
SIGNATURE = re.compile(r"v0=[0-9a-f]{64}")

Reason = Literal["no_secret", "timestamp", "stale", "signature"]


class SignatureRefused(ValueError):
    """`reason` is one of few words, fit for a metric label."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason


def verify(body: bytes, *, timestamp: str, signature: str, secrets: Sequence[str], received_at: datetime) -> int:
    """Index of the secret that matches; any of the live ones may while they are rotated. Raises SignatureRefused."""
    if not secrets:
        raise SignatureRefused("no_secret")
    if not TIMESTAMP.fullmatch(timestamp):
        raise SignatureRefused("timestamp")
    if abs(int(received_at.timestamp()) - int(timestamp)) > SKEW_MAX_S:
        raise SignatureRefused("stale")
    if not SIGNATURE.fullmatch(signature):
        raise SignatureRefused("signature")
    base = b"v0:" + timestamp.encode("ascii") + b":" + body
    for index, secret in enumerate(secrets):
        expected = hmac.new(secret.encode(), base, hashlib.sha256).hexdigest()
        if hmac.compare_digest(expected.encode("ascii"), signature[3:].encode("ascii")):
            return index
    raise SignatureRefused("signature")
