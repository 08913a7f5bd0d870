"""An OpenID Connect issuer on this machine, over https, whose keys turn and which can go away."""

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from em.sandbox.certificate import self_signed

CLAIMS = {"aud": "em", "sub": "ana", "groups": ["developers", "release"]}


class Issuer:
    """`asked`: paths that were requested. `answers`: what stands in for the answer of a path."""

    def __init__(self, ca_file: Path) -> None:
        self.url = ""
        self.ca_file = ca_file
        self.asked: list[str] = []
        self.answers: dict[str, web.Response] = {}
        self.keys: dict[str, rsa.RSAPrivateKey] = {}
        self.rotate("k1")

    def rotate(self, name: str) -> None:
        """One key, and it is new."""
        self.keys = {name: rsa.generate_private_key(public_exponent=65537, key_size=2048)}

    def token(self, now: float, *, key: Any = None, algorithm: str = "RS256", **changes: Any) -> str:
        name, own = next(iter(self.keys.items()))
        claims = {"iss": self.url, "iat": now, "nbf": now, "exp": now + 600, **CLAIMS, **changes}
        told = {claim: value for claim, value in claims.items() if value is not None}
        return jwt.encode(told, own if key is None else key, algorithm=algorithm, headers={"kid": name})

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if request.path in self.answers:
            found = self.answers[request.path]
            return web.Response(status=found.status, body=found.body, headers={**found.headers})
        if request.path == "/jwks":
            return web.json_response({"keys": [self._jwk(name) for name in self.keys]})
        return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/jwks"})

    def _jwk(self, name: str) -> dict[str, Any]:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.keys[name].public_key(), as_dict=True)
        return {**public, "kid": name, "use": "sig", "alg": "RS256"}


@asynccontextmanager
async def local_issuer(directory: Path) -> AsyncIterator[Issuer]:
    certificate = own_certificate(directory)
    issuer = Issuer(certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, directory / "issuer.key")
    app = web.Application()
    app.router.add_get("/{path:.*}", issuer.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    issuer.url = f"https://127.0.0.1:{port}"
    try:
        yield issuer
    finally:
        await runner.cleanup()


def setting(url: str, **changes: Any) -> str:
    """OIDC_ISSUERS, as one writes it."""
    roles = {"groups": {"release": "approver", "dev*": "viewer"}}
    return json.dumps([{"issuer": url, "audience": "em", "roles": roles, **changes}])


def own_certificate(directory: Path) -> Path:
    """Of 127.0.0.1, signed by itself; the key lies beside it."""
    made = self_signed()
    (directory / "issuer.key").write_text(made.key)
    (directory / "issuer.pem").write_text(made.certificate)
    return directory / "issuer.pem"
