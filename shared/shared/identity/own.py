"""Our own tokens: EdDSA by default, so that who verifies can't mint. A key is named by its RFC 7638 thumbprint."""

import base64
import hashlib
import re
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from shared.identity.issuers import LEEWAY_S, TOKEN_MAX_BYTES, Unproven
from shared.settings import InvalidConfiguration, ServiceSettings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

ISSUER = "em-agent"
AUDIENCE = "em-agent"
REQUIRED_CLAIMS = ["exp", "iat", "nbf", "iss", "aud", "sub", "jti", "typ"]
PEM = re.compile(r"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)


class InvalidKey(InvalidConfiguration):
    """The text names the variable."""


class Keyring:
    """What verifies our tokens: public keys by their id, or with HS256 the one secret."""

    def __init__(self, algorithm: str, keys: Mapping[str, Any]) -> None:
        self._algorithm = algorithm
        self._keys = keys

    @classmethod
    def of(cls, settings: ServiceSettings) -> "Keyring":
        """Raises InvalidKey."""
        if settings.jwt_algorithm == "HS256":
            return cls("HS256", {"": settings.jwt_secret_key.get_secret_value()})
        return cls("EdDSA", {key_id(key): key for key in _public_keys(settings.jwt_public_key)})

    def __contains__(self, name: object) -> bool:
        return name in self._keys

    def claims(self, token: str) -> dict[str, Any]:
        """Raises Unproven."""
        import jwt

        if len(token) > TOKEN_MAX_BYTES:
            raise Unproven("length")
        try:
            return jwt.decode(
                token,
                self._key(jwt.get_unverified_header(token).get("kid")),
                algorithms=[self._algorithm],
                audience=AUDIENCE,
                issuer=ISSUER,
                leeway=LEEWAY_S,
                options={"require": REQUIRED_CLAIMS},
            )
        except (jwt.PyJWTError, ValueError) as error:
            raise Unproven(type(error).__name__) from None

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """A JWK set; a secret is not in it."""
        public = [] if self._algorithm == "HS256" else self._keys.values()
        return {"keys": [{**_jwk(key), "kid": key_id(key), "use": "sig", "alg": "EdDSA"} for key in public]}

    def _key(self, name: str | None) -> Any:
        """A token that names no key is one of the only key that there is."""
        if name is None or self._algorithm == "HS256":
            if len(self._keys) == 1:
                return next(iter(self._keys.values()))
        elif name in self._keys:
            return self._keys[name]
        raise Unproven("kid")


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    algorithm: str
    key: Any
    name: str = ""

    @classmethod
    def of(cls, algorithm: str, secret: str) -> "SigningKey":
        """From JWT_PRIVATE_KEY, or with HS256 from JWT_SECRET_KEY. Raises InvalidKey."""
        if algorithm == "HS256":
            return cls(algorithm=algorithm, key=secret)
        key = _private_key(secret)
        return cls(algorithm="EdDSA", key=key, name=key_id(key.public_key()))

    def mint(self, *, subject: str, role: str, lifetime_s: int, now: int) -> str:
        """An access token."""
        import jwt

        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "role": role,
            "typ": "access",
            "jti": str(uuid.uuid4()),
            "iat": now,
            "nbf": now,
            "exp": now + lifetime_s,
        }
        return jwt.encode(claims, self.key, algorithm=self.algorithm, headers={"kid": self.name} if self.name else {})


def key_id(key: "Ed25519PublicKey") -> str:
    return _unpadded(hashlib.sha256(msgspec.json.encode(_jwk(key), order="sorted")).digest())


def _jwk(key: "Ed25519PublicKey") -> dict[str, str]:
    return {"crv": "Ed25519", "kty": "OKP", "x": _unpadded(key.public_bytes_raw())}


def _unpadded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _public_keys(pem: str) -> "list[Ed25519PublicKey]":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    text = _lines(pem)
    try:
        found = [load_pem_public_key(block.encode()) for block in PEM.findall(text)]
    except (ValueError, UnsupportedAlgorithm):
        found = []
    keys = [key for key in found if isinstance(key, Ed25519PublicKey)]
    if not keys or len(keys) < len(found) or PEM.sub("", text).strip():
        raise InvalidKey("JWT_PUBLIC_KEY: must be Ed25519 public keys in PEM, one after another, and nothing else")
    return keys


def _private_key(pem: str) -> "Ed25519PrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(_lines(pem).encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidKey("JWT_PRIVATE_KEY: must be an Ed25519 private key in PEM, without a password")
    return key


def _lines(pem: str) -> str:
    """`\\n` written out, as one-line environment files have it, counts as a line break."""
    return pem.replace("\\n", "\n")
