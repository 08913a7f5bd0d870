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
from cryptography.hazmat.primitives.asymmetric import ed25519
from fastapi import FastAPI

from shared.http import problems
from shared.http.auth import Identity, InvalidToken, require, verify
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
SETTINGS = ServiceSettings(auth_enabled=True, jwt_public_key=PUBLIC)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    told = {"iss": "em-agent", "aud": "em-agent", "sub": "ana", "role": "approver", "typ": "access", "jti": "1"}
    return {**told, "iat": now, "nbf": now, "exp": now + 60, **changes}


def token(key: str = PRIVATE, algorithm: str = "EdDSA", **changes: Any) -> str:
    return jwt.encode({k: v for k, v in claims(**changes).items() if v is not None}, key, algorithm=algorithm)


def unsigned(algorithm: str) -> str:
    parts = [json.dumps({"alg": algorithm, "typ": "JWT"}), json.dumps(claims())]
    return ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts) + "."


def signed_with_the_public_key() -> str:
    """HS256 with the public key as its secret; PyJWT itself would refuse to make it."""
    signed = unsigned("HS256").rstrip(".")
    digest = hmac.digest(PUBLIC.encode(), signed.encode(), hashlib.sha256)
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def test_token_of_ours_proves_who_it_is() -> None:
    assert verify(token(), SETTINGS) == Identity(subject="ana", role="approver")


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
    "one bit flipped": lambda: token()[:-4] + "AAAA",
    "not a token": lambda: "x.y.z",
    "empty": lambda: "",
    **{f"without {name}": partial(_without, name) for name in claims()},
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_forged_or_foreign_token_proves_nothing(forgery: str) -> None:
    with pytest.raises(InvalidToken):
        verify(FORGERIES[forgery](), SETTINGS)


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


async def test_without_authentication_everybody_is_anonymous() -> None:
    answer = await client(ServiceSettings()).get("/v1/thing")

    assert answer.json() == {"subject": "anonymous"}
