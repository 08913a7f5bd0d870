"""Tokens of a CI's run: what they must prove before a report counts."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ingest.headers import Headers
from ingest.schemes import Evidence, KeyNeeded, Oidc, Rejection, SignatureInvalid, SignatureStale
from shared.identity.issuers import Unproven

ISSUER = "https://ci.acme.example"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHERS_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
NOW = datetime(2026, 5, 1, tzinfo=UTC)
TRUSTED = [b"a plain token", f"{ISSUER}|acme/*".encode()]
CLAIMS = {
    "iss": ISSUER,
    "aud": "em-agent",
    "sub": "repo:acme/checkout:ref:refs/heads/main",
    "exp": (NOW + timedelta(minutes=5)).timestamp(),
    "nbf": (NOW - timedelta(minutes=1)).timestamp(),
    "repository": "acme/checkout",
    "actor": "ana",
    "sha": "9fceb02d0ae598e95dc970b74767f19372d61af8",
    "run_id": "41",
}


def token(claims: Mapping[str, Any] = CLAIMS, key: RSAPrivateKey | str = KEY, **options: Any) -> str:
    return jwt.encode(dict(claims), key, **{"algorithm": "RS256", "headers": {"kid": "k1"}, **options})


def documents() -> dict[str, bytes]:
    public = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    return {
        f"{ISSUER}/.well-known/openid-configuration": json.dumps({"jwks_uri": f"{ISSUER}/jwks"}).encode(),
        f"{ISSUER}/jwks": json.dumps({"keys": [{**public, "kid": "k1", "use": "sig", "alg": "RS256"}]}).encode(),
    }


def verify(given: str, *, scheme: Oidc | None = None, now: datetime = NOW, secrets: Any = TRUSTED) -> Evidence:
    """With what an issuer publishes, which the shell around the scheme fetches."""
    scheme = scheme or Oidc()
    headers = Headers([(b"authorization", f"Bearer {given}".encode())])
    for _ in range(3):
        try:
            return scheme.verify(headers, b"{}", secrets, now)
        except KeyNeeded as needed:
            needed.learn(documents()[needed.url])
    raise AssertionError("more than two documents")


def test_token_of_a_trusted_run_proves_its_repository_and_commit() -> None:
    evidence = verify(token())

    assert evidence.slot == 1
    assert json.loads(evidence.sender) == {
        "repository": "acme/checkout",
        "actor": "ana",
        "sha": CLAIMS["sha"],
        "run": "41",
    }


@pytest.mark.parametrize(
    "changed",
    [
        {"repository": "evil/checkout"},
        {"repository": "acmex/checkout"},
        {"iss": "https://ci.evil.example"},
        {"aud": "another"},
        {"aud": None},
        {"repository": "", "sub": "repo:evil/x"},
    ],
)
def test_token_for_somebody_else_is_refused(changed: dict[str, Any]) -> None:
    claims = {name: value for name, value in {**CLAIMS, **changed}.items() if value is not None}

    with pytest.raises(SignatureInvalid):
        verify(token(claims))


@pytest.mark.parametrize(
    "forged",
    [
        token(key=OTHERS_KEY),
        token(headers={"kid": "unknown"}),
        token(key="a shared secret of thirty-two bytes", algorithm="HS256"),
        jwt.encode(dict(CLAIMS), "", algorithm="none", headers={"kid": "k1"}),
        token()[:-2],
        "a.b.c",
        "",
    ],
)
def test_token_that_the_issuer_did_not_sign_is_refused(forged: str) -> None:
    with pytest.raises(Rejection):
        verify(forged)


def test_public_key_is_no_shared_secret() -> None:
    public = json.loads(documents()[f"{ISSUER}/jwks"])["keys"][0]["n"]

    with pytest.raises(Rejection):
        verify(token(key=public, algorithm="HS256"))


@pytest.mark.parametrize("minutes", [-10, 10])
def test_token_is_refused_outside_its_time(minutes: int) -> None:
    with pytest.raises(SignatureStale):
        verify(token(), now=NOW + timedelta(minutes=minutes))


def test_keys_elsewhere_than_with_the_issuer_are_not_asked_for() -> None:
    scheme = Oidc()
    headers = Headers([(b"authorization", f"Bearer {token()}".encode())])
    with pytest.raises(KeyNeeded) as needed:
        scheme.verify(headers, b"{}", TRUSTED, NOW)

    with pytest.raises(Unproven):
        needed.value.learn(b'{"jwks_uri":"https://ci.evil.example/jwks"}')


def test_unknown_key_is_not_looked_for_at_every_delivery() -> None:
    scheme = Oidc()
    verify(token(), scheme=scheme)

    with pytest.raises(SignatureInvalid):
        verify(token(headers={"kid": "k2"}), scheme=scheme)


def test_nothing_is_fetched_for_an_issuer_that_nobody_trusts() -> None:
    with pytest.raises(SignatureInvalid):
        Oidc().verify(Headers([(b"authorization", f"Bearer {token()}".encode())]), b"{}", [b"token"], NOW)


def test_entry_without_a_pattern_allows_nothing() -> None:
    with pytest.raises(SignatureInvalid):
        verify(token(), secrets=[ISSUER.encode()])
