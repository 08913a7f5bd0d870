"""Access tokens: what proves an identity, and everything that must not."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from fastapi import FastAPI
from pydantic import SecretStr

from shared.http import problems
from shared.http.auth import Identity, InvalidToken, Verifier, require
from shared.identity.own import InvalidKey, Keyring, SigningKey
from shared.settings import ServiceSettings


def _keys() -> tuple[str, str]:
    key = ed25519.Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


PRIVATE, PUBLIC = _keys()
STRANGER, _ = _keys()
NEWER, NEWER_PUBLIC = _keys()
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
RSA_PUBLIC = (
    RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
)
SECRET = "a secret of at least thirty-two bytes"
SETTINGS = ServiceSettings(auth_enabled=True, jwt_public_key=PUBLIC)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    told = {"iss": "em-agent", "aud": "em-agent", "sub": "ana", "role": "approver", "typ": "access", "jti": "1"}
    return {**told, "iat": now, "nbf": now, "exp": now + 60, **changes}


def token(key: str = PRIVATE, algorithm: str = "EdDSA", headers: dict[str, Any] | None = None, **changes: Any) -> str:
    told = {name: value for name, value in claims(**changes).items() if value is not None}
    return jwt.encode(told, key, algorithm=algorithm, headers=headers)


def signed_by_us(headers: dict[str, Any]) -> str:
    """With whatever PyJWT would refuse to put into a header."""
    parts = [json.dumps({"alg": "EdDSA", "typ": "JWT", **headers}), json.dumps(claims())]
    signed = ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)
    key = serialization.load_pem_private_key(PRIVATE.encode(), password=None)
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    return f"{signed}.{base64.urlsafe_b64encode(key.sign(signed.encode())).rstrip(b'=').decode()}"


def flipped(position: int) -> str:
    """One bit of the signature."""
    signed, _, signature = token().rpartition(".")
    content = bytearray(base64.urlsafe_b64decode(signature + "=="))
    content[position // 8] ^= 1 << position % 8
    return f"{signed}.{base64.urlsafe_b64encode(content).rstrip(b'=').decode()}"


def unsigned(algorithm: str) -> str:
    parts = [json.dumps({"alg": algorithm, "typ": "JWT"}), json.dumps(claims())]
    return ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts) + "."


def signed_with_the_public_key() -> str:
    """HS256 with the public key as its secret; PyJWT itself would refuse to make it."""
    signed = unsigned("HS256").rstrip(".")
    digest = hmac.digest(PUBLIC.encode(), signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


async def test_token_of_ours_proves_who_it_is() -> None:
    assert await Verifier(SETTINGS).verify(token()) == Identity(subject="ana", role="approver")


def minted(private: str) -> str:
    key = SigningKey.of("EdDSA", private)
    return key.mint(subject="ana", role="approver", lifetime_s=60, now=int(time.time()))


def own_jwk(private: str) -> dict[str, str]:
    key = serialization.load_pem_private_key(private.encode(), None)
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    return jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)


def _without(claim: str) -> str:
    changes: dict[str, Any] = {claim: None}
    return token(**changes)


FORGERIES: dict[str, Callable[[], str]] = {
    "another key": lambda: token(STRANGER),
    "none": lambda: unsigned("none"),
    "None": lambda: unsigned("None"),
    "public key as secret": signed_with_the_public_key,
    "expired": lambda: token(exp=int(time.time()) - 60),
    "not yet valid": lambda: token(nbf=int(time.time()) + 120),
    "wrong audience": lambda: token(aud="other"),
    "wrong issuer": lambda: token(iss="other"),
    "refresh token": lambda: token(typ="refresh"),
    "unknown role": lambda: token(role="root"),
    "too long": lambda: token(note="x" * 9000),
    **{f"bit {position} flipped": partial(flipped, position) for position in range(0, 512, 37)},
    "NONE": lambda: unsigned("NONE"),
    "no algorithm": lambda: unsigned(""),
    "RS256": lambda: jwt.encode(claims(), RSA, algorithm="RS256"),
    "subject is a number": lambda: token(sub=7),
    "key named by a path": lambda: token(headers={"kid": "../../dev/null"}),
    "key named by a URL": lambda: token(headers={"kid": "https://evil.example/key"}),
    "key named by SQL": lambda: token(headers={"kid": "' OR 1=1 --"}),
    "huge key name": lambda: token(headers={"kid": "k" * 4000}),
    "key name is no text": lambda: signed_by_us({"kid": ["x"]}),
    "brings its own key": lambda: token(STRANGER, headers={"jwk": own_jwk(STRANGER)}),
    "says where its key is": lambda: token(STRANGER, headers={"jku": "https://evil.example/jwks"}),
    "asks for what we don't know": lambda: signed_by_us({"crit": ["x"], "x": 1}),
    "not a token": lambda: "x.y.z",
    "empty": lambda: "",
    **{f"without {name}": partial(_without, name) for name in claims()},
}


@pytest.mark.parametrize("forgery", FORGERIES)
async def test_S15_forged_or_foreign_token_proves_nothing(forgery: str) -> None:
    with pytest.raises(InvalidToken):
        await Verifier(SETTINGS).verify(FORGERIES[forgery]())


async def test_S15_while_rotating_tokens_of_each_listed_key_pass_and_no_others() -> None:
    settings = ServiceSettings(auth_enabled=True, jwt_public_key=(NEWER_PUBLIC + PUBLIC).replace("\n", "\\n"))
    verifier = Verifier(settings)

    for private in (PRIVATE, NEWER):
        assert await verifier.verify(minted(private)) == Identity(subject="ana", role="approver")
    for refused in (
        minted(STRANGER),
        token(PRIVATE),
        token(NEWER, headers={"kid": SigningKey.of("EdDSA", PRIVATE).name}),
    ):
        with pytest.raises(InvalidToken):
            await verifier.verify(refused)
    with pytest.raises(InvalidToken):
        await Verifier(ServiceSettings(auth_enabled=True, jwt_public_key=NEWER_PUBLIC)).verify(minted(PRIVATE))


def test_published_keys_are_the_public_ones_under_their_names() -> None:
    keys = Keyring.of(ServiceSettings(jwt_public_key=NEWER_PUBLIC + PUBLIC)).jwks()["keys"]

    assert [key["kid"] for key in keys] == [SigningKey.of("EdDSA", private).name for private in (NEWER, PRIVATE)]
    assert all(set(key) == {"kty", "crv", "x", "kid", "use", "alg"} for key in keys)
    found = jwt.PyJWKSet.from_dict({"keys": keys})[keys[1]["kid"]]
    assert jwt.decode(minted(PRIVATE), found, algorithms=["EdDSA"], audience="em-agent")["sub"] == "ana"


@pytest.mark.parametrize(
    "pem",
    ["pem", PRIVATE, PUBLIC + "more", PUBLIC + RSA_PUBLIC, PUBLIC[:60]],
    ids=["no PEM", "private", "more", "RSA", "cut"],
)
def test_what_is_no_list_of_public_keys_stops_the_start_and_is_not_shown(pem: str) -> None:
    with pytest.raises(InvalidKey, match="JWT_PUBLIC_KEY") as refused:
        require(ServiceSettings(auth_enabled=True, jwt_public_key=pem), "viewer")

    assert pem not in str(refused.value)


async def test_S15_shared_secret_works_and_proves_nothing_where_keys_are_used() -> None:
    hs256 = ServiceSettings(auth_enabled=True, jwt_algorithm="HS256", jwt_secret_key=SecretStr(SECRET))
    by_secret = SigningKey.of("HS256", SECRET).mint(subject="bo", role="viewer", lifetime_s=60, now=int(time.time()))

    assert await Verifier(hs256).verify(by_secret) == Identity(subject="bo", role="viewer")
    for settings, refused in ((SETTINGS, by_secret), (hs256, token()), (hs256, token("x" * 32, "HS256"))):
        with pytest.raises(InvalidToken):
            await Verifier(settings).verify(refused)
    assert Keyring.of(hs256).jwks() == {"keys": []}


def test_weaker_algorithm_is_told_in_health() -> None:
    hs256 = ServiceSettings(auth_enabled=True, jwt_algorithm="HS256", jwt_secret_key=SecretStr(SECRET))

    assert "mint" in str(hs256.auth_status["weaker"])
    assert SETTINGS.auth_status == {"required": True, "algorithm": "EdDSA"}


def client(settings: ServiceSettings) -> httpx.AsyncClient:
    app = FastAPI()
    problems.install(app)

    @app.get("/v1/thing")
    def thing(identity: Identity = require(settings, "operator")) -> dict[str, str]:
        return {"subject": identity.subject}

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test")


@pytest.mark.parametrize(
    ("role", "status"), [("viewer", 403), ("operator", 200), ("approver", 200), ("admin", 200), (None, 401)]
)
async def test_route_lets_its_role_and_those_above_it_pass(role: str | None, status: int) -> None:
    answer = await client(SETTINGS).get("/v1/thing", headers={"Authorization": f"Bearer {token(role=role)}"})

    assert answer.status_code == status


async def test_route_without_a_token_is_401_and_names_the_scheme() -> None:
    answer = await client(SETTINGS).get("/v1/thing")

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["type"] == "/problems/unauthorized"


@pytest.mark.parametrize("given", [["Bearer {0}", "Bearer {0}"], ["Basic {0}"], ["Bearer{0}"], ["{0}"], ["Bearer "]])
async def test_S15_odd_or_doubled_authorization_is_refused(given: list[str]) -> None:
    headers = [("Authorization", each.format(token(role="admin"))) for each in given]

    assert (await client(SETTINGS).get("/v1/thing", headers=headers)).status_code == 401


async def test_without_authentication_everybody_is_anonymous() -> None:
    answer = await client(ServiceSettings()).get("/v1/thing")

    assert answer.json() == {"subject": "anonymous"}
