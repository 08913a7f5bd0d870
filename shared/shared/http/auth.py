"""Access tokens, verified the same way by every service: our own, and those of the issuers that are configured."""

import time
from collections.abc import Callable, Coroutine, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any

import msgspec
from fastapi import Depends, FastAPI, Header, Request

from shared.http.keys import Keys, KeyUnavailable
from shared.http.problems import Problem
from shared.identity.issuers import Issuer, KeyNeeded, Unproven, issuer_of
from shared.identity.own import AUDIENCE, ISSUER, Keyring
from shared.settings import ServiceSettings
from shared.settings.oidc import ROLES, OidcIssuer
from shared.telemetry import logs

__all__ = ["AUDIENCE", "ISSUER", "ROLES", "Identity", "InvalidToken", "Verifier", "require"]

log = logs.get(__name__)

DOCUMENTS_MAX = 2  # an issuer's discovery and its keys
CHALLENGE = {"WWW-Authenticate": "Bearer"}


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks. Without authentication (development only) it is `anonymous`."""

    subject: str
    role: str
    issuer: str = ISSUER


class InvalidToken(ValueError):
    """The token proves nothing; the reason is for logs, not for the answer."""


class Verifier:
    """One per application: it remembers what it learnt of issuers. Raises InvalidKey."""

    def __init__(self, settings: ServiceSettings, clock: Callable[[], float] = time.time) -> None:
        self._own = Keyring.of(settings)
        self._trusted = {each.issuer: each for each in settings.oidc_issuers}
        self._issuers = {name: Issuer(name, jwks_url=each.jwks_url) for name, each in self._trusted.items()}
        self._keys = Keys(settings)
        self._clock = clock

    async def verify(self, token: str) -> Identity:
        """Raises InvalidToken, KeyUnavailable."""
        try:
            name = issuer_of(token)
            if name == ISSUER:
                return _own_identity(self._own.claims(token))
            if name in self._trusted:
                return _foreign_identity(self._trusted[name], await self._foreign_claims(name, token))
        except Unproven as error:
            raise InvalidToken(str(error)) from None
        raise InvalidToken("iss")

    async def _foreign_claims(self, name: str, token: str) -> Mapping[str, Any]:
        issuer, audience = self._issuers[name], self._trusted[name].audience
        for _ in range(DOCUMENTS_MAX):
            try:
                return issuer.claims(token, audience=audience, now=self._clock())
            except KeyNeeded as needed:
                await self._keys.learn(needed)
        try:
            return issuer.claims(token, audience=audience, now=self._clock())
        except KeyNeeded as needed:
            raise KeyUnavailable(needed.url) from None


def _own_identity(claims: Mapping[str, Any]) -> Identity:
    if claims["typ"] != "access" or not isinstance(claims["sub"], str) or claims.get("role") not in ROLES:
        raise InvalidToken("not an access token of ours")
    return Identity(subject=claims["sub"], role=claims["role"])


def _foreign_identity(trusted: OidcIssuer, claims: Mapping[str, Any]) -> Identity:
    subject = claims.get(trusted.subject)
    if not isinstance(subject, str) or not subject:
        raise InvalidToken(f"no {trusted.subject}")
    if trusted.subject == "email" and claims.get("email_verified") is not True:
        raise InvalidToken("email_verified")  # anybody may write an address of somebody else's
    found = [
        role
        for claim, patterns in trusted.roles.items()
        for value in _values(claims, claim)
        for pattern, role in patterns.items()
        if fnmatchcase(value, pattern)
    ]
    if not found:
        raise InvalidToken("no role")
    return Identity(subject=subject, role=max(found, key=ROLES.index), issuer=trusted.issuer)


def _values(claims: Mapping[str, Any], name: str) -> list[str]:
    """Of `groups`, of a name that is a URL, or of `realm_access.roles` inside of another claim."""
    found: Any = claims.get(name)
    if found is None:
        found = claims
        for part in name.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    listed = found if isinstance(found, list) else [found]
    return [value for value in listed if isinstance(value, str)]


def require(settings: ServiceSettings, role: str) -> Any:
    """A dependency that lets a role and those above it pass; 401 without a token, 403 with too small a role.

    Raises InvalidKey.
    """
    return Depends(identified(settings, role))


def identified(settings: ServiceSettings, role: str) -> Callable[..., Coroutine[None, None, Identity]]:
    """As `require`, for who takes other proofs as well."""
    if settings.auth_enabled:
        Keyring.of(settings)  # a wrong key is told at the start, not with the first token

    async def identity(request: Request, authorization: Annotated[str, Header()] = "") -> Identity:
        if not settings.auth_enabled:
            return Identity(subject="anonymous", role="admin")
        found = await _identified(_verifier(request.app, settings), bearer(request, authorization))
        if ROLES.index(found.role) < ROLES.index(role):
            raise Problem(403, "forbidden", f"this needs the role {role}")
        return found

    return identity


def bearer(request: Request, authorization: str) -> str:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token or len(request.headers.getlist("authorization")) != 1:
        raise Problem(401, "unauthorized", "a bearer token is needed", headers=CHALLENGE)
    return token


def unauthorized(reason: str) -> Problem:
    """The reason is for the log."""
    log.info("bearer.refused", reason=reason)
    return Problem(401, "unauthorized", "the token is not valid", headers=CHALLENGE)


def unavailable(reason: str) -> Problem:
    """The same for keys that can't be had now."""
    log.warning("issuer.away", error=reason)
    problem = "the issuer's keys can't be fetched now"
    return Problem(503, "issuer-unavailable", problem, headers={"Retry-After": "10"})


async def _identified(verifier: Verifier, token: str) -> Identity:
    try:
        return await verifier.verify(token)
    except InvalidToken as error:
        raise unauthorized(str(error)) from None
    except KeyUnavailable as error:
        raise unavailable(str(error)) from None


def _verifier(app: FastAPI, settings: ServiceSettings) -> Verifier:
    """Made by the first request that needs it."""
    if not hasattr(app.state, "verifier"):
        app.state.verifier = Verifier(settings)
    found: Verifier = app.state.verifier
    return found
