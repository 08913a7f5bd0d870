"""Tokens of other issuers (OpenID Connect): signature, issuer, audience and times, with keys that somebody fetches.

Unproven       a token that proves nothing, or a document of an issuer that can't be used
└── Untimely   right, but not at this time
KeyNeeded      a public key has to be fetched first; the URL was checked
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

if TYPE_CHECKING:
    import jwt

# Asymmetric ones alone: what an issuer publishes is never a shared secret.
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
TOKEN_MAX_BYTES = 8192
LEEWAY_S = 30
FRESH_FOR_S = 3600.0  # then keys are fetched again, so that one that was withdrawn ends
KEPT_FOR_S = 24 * 3600.0  # how long known keys outlast an issuer that can't be reached
AGAIN_AFTER_S = 60.0  # an unknown key is looked for again after that long, not with each token
DISCOVERY = "/.well-known/openid-configuration"


class Unproven(Exception):
    """Its text names the part that fails; it is for logs and metrics, not for the answer."""


class Untimely(Unproven):
    """Expired, or not yet valid."""


class KeyNeeded(Exception):
    """The key is at `url`, which was checked, and not known yet: `learn` takes what was fetched from there.

    `put_off`: where known keys do for a while, what to call when it can't be fetched now.
    """

    def __init__(self, url: str, learn: Callable[[bytes], None], *, put_off: Callable[[], None] | None = None) -> None:
        super().__init__(url)
        self.url = url
        self.learn = learn
        self.put_off = put_off


def issuer_of(token: str) -> str:
    """Whom the token names, which proves nothing yet. Raises Unproven."""
    import jwt

    if len(token) > TOKEN_MAX_BYTES:
        raise Unproven("length")
    try:
        return str(jwt.decode(token, options={"verify_signature": False}).get("iss", ""))
    except (jwt.PyJWTError, ValueError):
        raise Unproven("token") from None


class Issuer:
    """What was learnt of one issuer. Times are seconds since 1970."""

    def __init__(self, url: str, *, jwks_url: str = "") -> None:
        self._url = url
        self._jwks_url = jwks_url
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._learnt_at = -KEPT_FOR_S
        self._put_off_until = 0.0

    def claims(self, token: str, *, audience: str, now: float) -> dict[str, Any]:
        """Raises Unproven, and KeyNeeded until the issuer's documents were learnt."""
        import jwt

        try:
            key_id = str(jwt.get_unverified_header(token).get("kid", ""))
        except (jwt.PyJWTError, ValueError):
            raise Unproven("token") from None
        key = self._key(key_id, now)
        required = ["exp", "iss", "aud"]
        options: Any = {"require": required, "verify_exp": False, "verify_nbf": False, "verify_iat": False}
        try:
            claims = jwt.decode(
                token, key, algorithms=[key.algorithm_name], audience=audience, issuer=self._url, options=options
            )
            ends, begins = float(claims["exp"]), float(claims.get("nbf", 0))
        except (jwt.PyJWTError, ValueError, TypeError):
            raise Unproven("token") from None
        if not begins - LEEWAY_S <= now < ends + LEEWAY_S:
            raise Untimely("exp")
        return claims

    def _key(self, key_id: str, now: float) -> "jwt.PyJWK":
        key = self._keys.get(key_id)
        age_s = now - self._learnt_at
        may_wait = key is not None and age_s < KEPT_FOR_S
        if key and (age_s < FRESH_FOR_S or (may_wait and now < self._put_off_until)):
            return key
        if not self._jwks_url:
            raise KeyNeeded(self._url.rstrip("/") + DISCOVERY, self._learn_address)
        if age_s < AGAIN_AFTER_S:
            raise Unproven("kid")
        put_off = partial(self._put_off, now) if may_wait else None
        raise KeyNeeded(self._jwks_url, partial(self._learn_keys, now), put_off=put_off)

    def _put_off(self, now: float) -> None:
        self._put_off_until = now + AGAIN_AFTER_S

    def _learn_address(self, document: bytes) -> None:
        """The keys must lie with the issuer itself."""
        try:
            url = str(msgspec.json.decode(document)["jwks_uri"])
        except (msgspec.DecodeError, LookupError, TypeError):
            raise Unproven("jwks_uri") from None
        if urlsplit(url)[:2] != urlsplit(self._url)[:2]:
            raise Unproven("jwks_uri")
        self._jwks_url = url

    def _learn_keys(self, now: float, document: bytes) -> None:
        import jwt

        try:
            found = jwt.PyJWKSet.from_json(document.decode()).keys
        except (jwt.PyJWTError, ValueError, AttributeError, TypeError):
            raise Unproven("keys") from None
        self._keys = {str(key.key_id or ""): key for key in found if key.algorithm_name in ALGORITHMS}
        self._learnt_at = now
