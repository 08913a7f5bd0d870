"""Shared tokens, for platforms that can't sign: they prove who sent a delivery, not that it is unaltered."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

import msgspec

from ingest.headers import Headers
from ingest.schemes.base import SIGNING_KEY, TOPIC, TRUST, Evidence, SignatureInvalid, Signed, decoded

NO_TOKENS = (SIGNING_KEY, TOPIC, TRUST)


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """The first that is there of: a header of the platform, bearer, the password of Basic, `X-Webhook-Token`, the URL.

    In the URL only where the platform can send it nowhere else: `/webhooks/<source>/<token>` or `?token=<token>`.
    """

    headers: tuple[str, ...] = ()
    in_url: bool = False

    def verify(self, headers: Headers, body: bytes, secrets: Sequence[bytes], now: datetime) -> Evidence:
        """Digests are compared: the length of a secret tells nothing either."""
        given = hashlib.sha256(self._presented(headers)).digest()
        found = -1
        for slot, secret in enumerate(secrets):
            equal = hmac.compare_digest(given, hashlib.sha256(secret).digest())
            if equal and found < 0 and not secret.startswith(NO_TOKENS):
                found = slot
        if found < 0:
            raise SignatureInvalid("token")
        return Evidence(slot=found)

    def _presented(self, headers: Headers) -> bytes:
        """Raises SignatureInvalid when there is none."""
        for name in (*self.headers, "authorization", "x-webhook-token"):
            if headers.has(name):
                value = headers.single(name)
                token = _of_authorization(value) if name == "authorization" else value
                if token:
                    return token
                break
        else:
            if self.in_url and headers.url_token:
                return headers.url_token
        raise SignatureInvalid("token")


class SignedOrToken(msgspec.Struct, frozen=True, kw_only=True):
    """A platform that may sign: a signature, once there, decides alone, and a good token never rescues a bad one.

    `others`: how it signs deliveries of another kind.
    """

    signed: Signed
    token: Token
    others: tuple[Signed, ...] = ()

    def verify(self, headers: Headers, body: bytes, secrets: Sequence[bytes], now: datetime) -> Evidence:
        claimed = (each for each in (self.signed, *self.others) if each.applies(headers, secrets))
        return next(claimed, self.token).verify(headers, body, secrets, now)


def _of_authorization(value: bytes) -> bytes:
    scheme, _, credentials = value.partition(b" ")
    match scheme.lower():
        case b"bearer":
            return credentials.strip()
        case b"basic":
            return decoded(credentials.strip()).partition(b":")[2]
        case _:
            return b""
