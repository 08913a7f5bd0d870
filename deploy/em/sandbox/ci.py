"""A CI as far as a gate sees it, over https: an issuer of tokens for its runs, and a receiver of signed callbacks."""

import base64
import hmac
import secrets
import ssl
import tempfile
import time
from pathlib import Path
from typing import Any

import jwt
import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from em.sandbox.certificate import Certificate, self_signed

AUDIENCE = "em-agent"
TOKEN_LIFETIME_S = 300  # GitHub's: shorter than people take to decide
KEY_ID = "stand-in"
SIGNATURE = "v1,"


class CiSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Without a certificate it makes one. `callback_secret`: `whsec_…`, by which callbacks are verified. `url`: how
    others reach it, where that is not how it is bound."""

    certificate: Certificate | None = None
    callback_secret: str = ""
    url: str = ""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """`request_url` and `request_token` are what GitHub Actions gives a job; `token` is what GitLab gives it."""

    id: int
    request_url: str
    request_token: str
    token: str


class Callback(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    at: float
    is_signed: bool
    body: Any


class Ci:
    def __init__(self, settings: CiSettings) -> None:
        self._secret = settings.callback_secret
        self._certificate = settings.certificate or self_signed()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._claims: dict[int, tuple[str, dict[str, Any]]] = {}
        self.callbacks: list[Callback] = []
        self.url = settings.url

    @property
    def certificate(self) -> str:
        """PEM, for those who have to trust it."""
        return self._certificate.certificate

    def application(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._discovery)
        app.router.add_get("/jwks", self._keys)
        app.router.add_get("/token", self._token)
        app.router.add_post("/callbacks", self._take)
        return app

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        with tempfile.NamedTemporaryFile("w", suffix=".pem") as both:
            # An environment file keeps no last newline.
            both.write(f"{self._certificate.key}\n{self._certificate.certificate}")
            both.flush()
            context.load_cert_chain(Path(both.name))
        return context

    def reset(self) -> None:
        self._claims.clear()
        self.callbacks.clear()

    def add_run(self, claims: dict[str, Any]) -> Run:
        """A run whose tokens have these claims."""
        number, secret = len(self._claims) + 1, secrets.token_hex(16)
        self._claims[number] = (secret, claims)
        return Run(
            id=number,
            request_url=f"{self.url}/token?run={number}",
            request_token=secret,
            token=self._minted(claims, AUDIENCE),
        )

    def _minted(self, claims: dict[str, Any], audience: str) -> str:
        now = int(time.time())
        told = {"iss": self.url, "aud": audience, "iat": now, "nbf": now, "exp": now + TOKEN_LIFETIME_S, **claims}
        return jwt.encode(told, self._key, algorithm="ES256", headers={"kid": KEY_ID})

    async def _discovery(self, request: web.Request) -> web.Response:
        return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/jwks"})

    async def _keys(self, request: web.Request) -> web.Response:
        public = jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return web.json_response({"keys": [{**public, "kid": KEY_ID, "use": "sig", "alg": "ES256"}]})

    async def _token(self, request: web.Request) -> web.Response:
        """As https://docs.github.com/en/actions/concepts/security/openid-connect has it."""
        secret, claims = self._claims.get(int(request.query.get("run", "0")), ("", {}))
        given = request.headers.get("Authorization", "").partition(" ")[2]
        if not secret or not hmac.compare_digest(given.encode(), secret.encode()):
            return web.Response(status=401)
        return web.json_response({"value": self._minted(claims, request.query.get("audience", ""))})

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        callback = Callback(
            id=request.headers.get("webhook-id", ""),
            at=time.time(),
            is_signed=self._is_signed(request, body),
            body=msgspec.json.decode(body),
        )
        self.callbacks.append(callback)
        return web.Response(status=204 if callback.is_signed else 401)

    def _is_signed(self, request: web.Request, body: bytes) -> bool:
        parts = [request.headers.get(name, "").encode() for name in ("webhook-id", "webhook-timestamp")]
        key = base64.b64decode(self._secret.removeprefix("whsec_"))
        digest = base64.b64encode(hmac.digest(key, b".".join((*parts, body)), "sha256")).decode()
        return bool(key) and SIGNATURE + digest in request.headers.get("webhook-signature", "").split()
