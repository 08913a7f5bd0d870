"""Access tokens: EdDSA by default, so that who verifies can't mint; algorithms pinned, required claims checked."""

from typing import Annotated, Any

import jwt
import msgspec
from fastapi import Depends, Header

from shared.http.problems import Problem
from shared.settings import ServiceSettings

ISSUER = "em-agent"
AUDIENCE = "em-agent"
REQUIRED_CLAIMS = ["exp", "iat", "nbf", "iss", "aud", "sub", "jti", "typ"]
LEEWAY_S = 30
TOKEN_MAX_BYTES = 8192
ROLES = ("viewer", "operator", "approver", "admin")  # each may do what those before it may


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks. Without authentication (development only) it is `anonymous`."""

    subject: str
    role: str


class InvalidToken(ValueError):
    """The token proves nothing; the reason is for logs, not for the answer."""


def verify(token: str, settings: ServiceSettings) -> Identity:
    """Raises InvalidToken."""
    if len(token) > TOKEN_MAX_BYTES:
        raise InvalidToken("too long")
    hs256 = settings.jwt_algorithm == "HS256"
    key = settings.jwt_secret_key.get_secret_value() if hs256 else settings.jwt_public_key
    try:
        claims = jwt.decode(
            token,
            key,
            algorithms=[settings.jwt_algorithm],
            audience=AUDIENCE,
            issuer=ISSUER,
            leeway=LEEWAY_S,
            options={"require": REQUIRED_CLAIMS},
        )
    except (jwt.PyJWTError, ValueError) as error:
        raise InvalidToken(type(error).__name__) from None
    if claims["typ"] != "access" or not isinstance(claims["sub"], str) or claims.get("role") not in ROLES:
        raise InvalidToken("not an access token of ours")
    return Identity(subject=claims["sub"], role=claims["role"])


def require(settings: ServiceSettings, role: str) -> Any:
    """A dependency that lets a role and those above it pass; 401 without a token, 403 with too small a role."""

    def identity(authorization: Annotated[str, Header()] = "") -> Identity:
        if not settings.auth_enabled:
            return Identity(subject="anonymous", role="admin")
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Problem(401, "unauthorized", "a bearer token is needed", headers={"WWW-Authenticate": "Bearer"})
        try:
            found = verify(token, settings)
        except InvalidToken:
            raise Problem(
                401, "unauthorized", "the token is not valid", headers={"WWW-Authenticate": "Bearer"}
            ) from None
        if ROLES.index(found.role) < ROLES.index(role):
            raise Problem(403, "forbidden", f"this needs the role {role}")
        return found

    return Depends(identity)
