"""Tokens of other issuers: what they must prove, which role they give, and what becomes of keys that turn or vanish."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.http.auth import Identity, InvalidToken, Verifier
from shared.http.keys import KeyUnavailable
from shared.http.outbound import is_public
from shared.identity.issuers import AGAIN_AFTER_S, FRESH_FOR_S, KEPT_FOR_S
from shared.settings import InvalidSettings, ServiceSettings, load
from tests.issuer import Issuer, local_issuer, setting

NOW = 1_800_000_000.0
DISCOVERY = "/.well-known/openid-configuration"
PRIVATE_V4 = (
    *("0.0.0.1", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1"),
    *("172.31.255.255", "192.168.1.1", "192.0.0.8", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
)
PRIVATE_V6 = (
    *("::", "::1", "fc00::1", "fd00::1", "fe80::1", "fe80::1%eth0", "ff02::1", "2002:a00:1::1", "2001:0:a00:1::1"),
    *("::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a00:1", "64:ff9b::7f00:1"),
)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[Issuer]:
    async with local_issuer(tmp_path) as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


def settings(issuer: Issuer, /, *, private_hosts: str = "127.0.0.1", **changes: Any) -> ServiceSettings:
    return ServiceSettings(
        auth_enabled=True,
        jwt_algorithm="HS256",
        jwt_secret_key="x" * 32,
        oidc_issuers=setting(issuer.url, **changes),
        oidc_private_hosts=private_hosts,
        oidc_ca_file=issuer.ca_file,
    )


async def test_issuer_that_is_trusted_gives_the_highest_role_of_its_claims(issuer: Issuer, clock: Clock) -> None:
    verifier = Verifier(settings(issuer), clock)

    assert await verifier.verify(issuer.token(NOW)) == Identity(subject="ana", role="approver", issuer=issuer.url)
    assert (await verifier.verify(issuer.token(NOW, groups="developers"))).role == "viewer"
    assert issuer.asked == [DISCOVERY, "/jwks"]


@pytest.mark.parametrize(
    ("roles", "claims", "role"),
    [
        ({"realm_access.roles": {"em": "operator"}}, {"realm_access": {"roles": ["em"]}}, "operator"),
        ({"https://acme.example/role": {"em": "admin"}}, {"https://acme.example/role": "em"}, "admin"),
        ({"sub": {"repo:acme/*": "viewer"}}, {"sub": "repo:acme/checkout:ref:main"}, "viewer"),
    ],
)
async def test_role_may_stand_in_any_claim(
    issuer: Issuer, clock: Clock, roles: dict[str, Any], claims: dict[str, Any], role: str
) -> None:
    found = await Verifier(settings(issuer, roles=roles), clock).verify(issuer.token(NOW, **claims))

    assert found.role == role


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "another"},
        {"aud": None},
        {"iss": "https://evil.example"},
        {"iss": "em-agent"},
        {"exp": NOW - 60},
        {"exp": None},
        {"nbf": NOW + 60},
        {"sub": ""},
        {"sub": None},
        {"groups": ["elsewhere"]},
        {"groups": None},
        {"groups": {"release": True}},
        {"note": "x" * 9000},
        {"key": rsa.generate_private_key(public_exponent=65537, key_size=2048)},
        {"key": "a shared secret of thirty-two bytes", "algorithm": "HS256"},
        {"key": "", "algorithm": "none"},
    ],
    ids=lambda changed: " ".join(changed),
)
async def test_S15_token_that_does_not_hold_is_refused(issuer: Issuer, clock: Clock, changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        await Verifier(settings(issuer), clock).verify(issuer.token(NOW, **changed))


async def test_S15_public_key_of_an_issuer_is_no_secret(issuer: Issuer, clock: Clock) -> None:
    """Also when the issuer itself publishes a shared one."""
    public = issuer.keys["k1"].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    oct_key = base64.urlsafe_b64encode(b"s" * 32).rstrip(b"=").decode()
    published = {"keys": [{"kty": "oct", "kid": "k1", "alg": "HS256", "k": oct_key}]}
    verifier = Verifier(settings(issuer), clock)
    with pytest.raises(InvalidToken):
        await verifier.verify(hs256(issuer, pem))

    issuer.answers["/jwks"] = web.json_response(published)

    with pytest.raises(InvalidToken):
        await Verifier(settings(issuer), clock).verify(hs256(issuer, b"s" * 32))


def hs256(issuer: Issuer, secret: bytes) -> str:
    """PyJWT would refuse to sign with a public key."""
    import hashlib
    import hmac

    [_, payload, _] = issuer.token(NOW).split(".")
    header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": "k1"}).encode()).rstrip(b"=").decode()
    digest = hmac.digest(secret, f"{header}.{payload}".encode(), hashlib.sha256)
    return f"{header}.{payload}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


async def test_address_counts_only_when_the_issuer_verified_it(issuer: Issuer, clock: Clock) -> None:
    verifier = Verifier(settings(issuer, subject="email"), clock)
    mail = {"email": "ana@acme.example"}

    assert (await verifier.verify(issuer.token(NOW, **mail, email_verified=True))).subject == "ana@acme.example"
    for unverified in ({}, {"email_verified": False}, {"email_verified": "true"}):
        with pytest.raises(InvalidToken):
            await verifier.verify(issuer.token(NOW, **mail, **unverified))


async def test_new_key_is_fetched_and_one_that_is_withdrawn_ends(issuer: Issuer, clock: Clock) -> None:
    verifier = Verifier(settings(issuer), clock)
    old = issuer.token(NOW, exp=NOW + 2 * FRESH_FOR_S)
    await verifier.verify(old)
    issuer.rotate("k2")

    clock.now += AGAIN_AFTER_S
    assert (await verifier.verify(issuer.token(clock.now))).subject == "ana"
    with pytest.raises(InvalidToken):
        await verifier.verify(old)

    assert issuer.asked == [DISCOVERY, "/jwks", "/jwks"]


async def test_key_that_is_withdrawn_ends_even_if_no_new_one_is_seen(issuer: Issuer, clock: Clock) -> None:
    verifier = Verifier(settings(issuer), clock)
    old = issuer.token(NOW, exp=NOW + 2 * FRESH_FOR_S)
    await verifier.verify(old)
    issuer.rotate("k2")

    clock.now += FRESH_FOR_S

    with pytest.raises(InvalidToken):
        await verifier.verify(old)


async def test_unknown_keys_do_not_make_us_ask_again_and_again(issuer: Issuer, clock: Clock) -> None:
    verifier = Verifier(settings(issuer), clock)
    await verifier.verify(issuer.token(NOW))
    issuer.rotate("forged")

    for _ in range(50):
        with pytest.raises(InvalidToken):
            await verifier.verify(issuer.token(NOW))

    assert issuer.asked == [DISCOVERY, "/jwks"]


async def test_many_first_tokens_at_once_ask_once(issuer: Issuer, clock: Clock) -> None:
    verifier = Verifier(settings(issuer), clock)

    await asyncio.gather(*(verifier.verify(issuer.token(NOW)) for _ in range(20)))

    assert issuer.asked == [DISCOVERY, "/jwks"]


@pytest.mark.parametrize("broken", [web.Response(status=500), web.Response(body=b"<html>back soon</html>")])
async def test_known_keys_outlast_an_issuer_that_is_away_for_a_day(
    issuer: Issuer, clock: Clock, broken: web.Response
) -> None:
    verifier = Verifier(settings(issuer), clock)
    await verifier.verify(issuer.token(NOW))
    issuer.answers["/jwks"] = broken

    for clock.now in (NOW + FRESH_FOR_S, NOW + FRESH_FOR_S + 1, NOW + KEPT_FOR_S - 1):
        assert (await verifier.verify(issuer.token(clock.now))).subject == "ana"
    clock.now = NOW + KEPT_FOR_S
    with pytest.raises(KeyUnavailable):
        await verifier.verify(issuer.token(clock.now))

    assert issuer.asked == [DISCOVERY, "/jwks", "/jwks"]


async def test_issuer_that_was_never_reached_is_no_refusal_of_the_token(issuer: Issuer, clock: Clock) -> None:
    verifier = Verifier(settings(issuer), clock)
    issuer.answers[DISCOVERY] = web.Response(status=503)

    for _ in range(5):
        with pytest.raises(KeyUnavailable):
            await verifier.verify(issuer.token(NOW))

    assert issuer.asked == [DISCOVERY]


@pytest.mark.parametrize(
    "answer",
    [
        web.json_response({"jwks_uri": "https://evil.example/jwks"}),
        web.json_response({"jwks_uri": "http://169.254.169.254/latest/meta-data"}),
        web.json_response(["jwks_uri"]),
        web.Response(status=302, headers={"Location": "http://169.254.169.254/"}),
        web.Response(body=b"x" * 70_000),
    ],
)
async def test_S11_issuer_can_send_us_nowhere_else(issuer: Issuer, clock: Clock, answer: web.Response) -> None:
    issuer.answers[DISCOVERY] = answer

    with pytest.raises(KeyUnavailable):
        await Verifier(settings(issuer), clock).verify(issuer.token(NOW))

    assert issuer.asked == [DISCOVERY]


async def test_S11_keys_must_lie_with_the_issuer_itself(issuer: Issuer, clock: Clock) -> None:
    issuer.answers[DISCOVERY] = web.json_response({"jwks_uri": issuer.url.replace("//", "//user@") + "/jwks"})

    with pytest.raises(KeyUnavailable):
        await Verifier(settings(issuer), clock).verify(issuer.token(NOW))

    assert issuer.asked == [DISCOVERY]


async def test_S11_private_address_is_not_asked_unless_its_host_is_named(issuer: Issuer, clock: Clock) -> None:
    with pytest.raises(KeyUnavailable):
        await Verifier(settings(issuer, private_hosts=""), clock).verify(issuer.token(NOW))

    assert issuer.asked == []


async def test_keys_on_another_host_are_used_where_the_setting_says_so(issuer: Issuer, clock: Clock) -> None:
    name = "https://accounts.acme.example"
    verifier = Verifier(settings(issuer, issuer=name, jwks_url=f"{issuer.url}/jwks"), clock)

    assert (await verifier.verify(issuer.token(NOW, iss=name))).issuer == name


@pytest.mark.parametrize("address", [*PRIVATE_V4, *PRIVATE_V6])
def test_S11_address_that_is_not_public_is_known_as_such(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "140.82.112.3", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_public_address_is_known_as_such(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "written",
    [
        "hunter2",
        "{}",
        '[{"issuer": "http://login.acme.example", "audience": "em", "roles": {}}]',
        '[{"issuer": "https://a@login.acme.example", "audience": "em", "roles": {}}]',
        '[{"issuer": "https://login.acme.example", "audience": "", "roles": {}}]',
        '[{"issuer": "https://login.acme.example", "audience": "em", "roles": {"groups": {"hunter2": "root"}}}]',
        '[{"issuer": "https://login.acme.example", "audience": "em", "roles": {}, "jwks": "hunter2"}]',
    ],
)
def test_mistake_in_the_list_of_issuers_is_named_and_not_shown(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OIDC_ISSUERS", written)

    with pytest.raises(InvalidSettings, match="OIDC_ISSUERS") as refused:
        load(ServiceSettings)

    assert "root" not in str(refused.value)
