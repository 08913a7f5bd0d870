"""GitHub's check of an App's JWT: RS256, the App as issuer, at most ten minutes to live.

Verifying RS256 is one modular power and one comparison, so it is written out here:
a crypto library would double what the sandbox adds to the memory of a laptop.
"""

import base64
import binascii
import hashlib
import hmac
from typing import Any

import msgspec

LIFETIME_MAX_S = 600
CLOCK_SKEW_S = 60
UNREADABLE = "A JSON web token could not be decoded"
# RFC 8017, section 9.2: the DER prefix of a SHA-256 digest in EMSA-PKCS1-v1_5.
SHA256_DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
INTEGER, BIT_STRING = 0x02, 0x03


class JwtRefused(Exception):
    """The JWT does not prove the App; the message is GitHub's."""


def verify(token: str, *, public_key_pem: str, app_id: str, now: float) -> None:
    """Raise JwtRefused unless GitHub would take the token as the App's."""
    try:
        header, claims, signature = (_base64url(part) for part in token.split("."))
        algorithm = msgspec.json.decode(header, type=dict[str, Any]).get("alg")
        claimed = msgspec.json.decode(claims, type=dict[str, Any])
    except (ValueError, msgspec.MsgspecError) as broken:
        raise JwtRefused(UNREADABLE) from broken
    signed = token.rpartition(".")[0].encode()
    if algorithm != "RS256" or not _is_signed(signed, signature, public_key_pem):
        raise JwtRefused(UNREADABLE)
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


def _is_signed(signed: bytes, signature: bytes, public_key_pem: str) -> bool:
    modulus, exponent = rsa_public_numbers(public_key_pem)
    size = (modulus.bit_length() + 7) // 8
    digest = SHA256_DIGEST_INFO + hashlib.sha256(signed).digest()
    expected = b"\x00\x01" + b"\xff" * (size - len(digest) - 3) + b"\x00" + digest
    recovered = pow(int.from_bytes(signature, "big"), exponent, modulus).to_bytes(size, "big")
    return len(signature) == size and hmac.compare_digest(recovered, expected)


def rsa_public_numbers(pem: str) -> tuple[int, int]:
    """Modulus and exponent of a PEM key, "PUBLIC KEY" or "RSA PUBLIC KEY"; ValueError for anything else."""
    lines = [line for line in pem.strip().splitlines() if line and not line.startswith("-----")]
    try:
        outer = _children(base64.b64decode("".join(lines), validate=True))[0][1]
        fields = _children(outer)
        if fields[-1][0] == BIT_STRING:
            fields = _children(_children(fields[-1][1][1:])[0][1])
    except (IndexError, binascii.Error) as broken:
        raise ValueError("not a PEM of an RSA public key") from broken
    if [tag for tag, _ in fields] != [INTEGER, INTEGER]:
        raise ValueError("not a PEM of an RSA public key")
    return int.from_bytes(fields[0][1], "big"), int.from_bytes(fields[1][1], "big")


def _children(der: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each DER element, one level deep."""
    found, at = [], 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(der[at : at + size], "big"), at + size
        found.append((tag, der[at : at + length]))
        at += length
    return found


def _base64url(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
