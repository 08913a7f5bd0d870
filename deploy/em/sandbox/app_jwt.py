"""GitHub's check of an App's JWT: RS256, the App as issuer, at most ten minutes to live."""

from typing import Any

import jwt
from jwt.algorithms import RSAAlgorithm
from jwt.types import Options

LIFETIME_MAX_S = 600
CLOCK_SKEW_S = 60
UNREADABLE = "A JSON web token could not be decoded"
# GitHub words its refusals of claims itself, so only the signature is left to the library.
SIGNATURE_ALONE: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
}


class JwtRefused(Exception):
    """The JWT does not prove the App; the message is GitHub's."""


def verify(token: str, *, public_key_pem: str, app_id: str, now: float) -> None:
    """Raise JwtRefused unless GitHub would take the token as the App's."""
    try:
        claimed = jwt.decode(token, public_key_pem, algorithms=["RS256"], options=SIGNATURE_ALONE)
    except jwt.PyJWTError as broken:
        raise JwtRefused(UNREADABLE) from broken
    _check_claims(claimed, app_id=app_id, now=now)


def _check_claims(claims: dict[str, Any], *, app_id: str, now: float) -> None:
    issued, expires = claims.get("iat"), claims.get("exp")
    if str(claims.get("iss")) != app_id:
        raise JwtRefused("'Issuer' claim ('iss') must be the App's id")
    if not isinstance(issued, int | float) or issued > now + CLOCK_SKEW_S:
        raise JwtRefused(
            "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
        )
    if not isinstance(expires, int | float) or expires <= now:
        raise JwtRefused(
            "'Expiration time' claim ('exp') must be a numeric value representing "
            "the future time at which the assertion expires"
        )
    if expires > now + LIFETIME_MAX_S:
        raise JwtRefused("'Expiration time' claim ('exp') is too far in the future")


def check_key(public_key_pem: str) -> None:
    """Raises ValueError for anything but an RSA key in PEM."""
    try:
        RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(public_key_pem)
    except (jwt.InvalidKeyError, TypeError) as error:
        raise ValueError("not a PEM of an RSA public key") from error
