"""A receiver of signed webhooks on this machine, over https: what came, and what it answers."""

import base64
import hmac
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from tests.issuer import own_certificate

SECRETS = tuple(f"whsec_{base64.b64encode(bytes([number]) * 32).decode()}" for number in (1, 2))


class Came(msgspec.Struct, frozen=True, kw_only=True):
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def told(self) -> dict[str, Any]:
        return dict(msgspec.json.decode(self.body))

    def is_signed_with(self, secret: str) -> bool:
        """As a receiver that knows one secret verifies."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        content = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        expected = f"v1,{base64.b64encode(hmac.digest(key, content, 'sha256')).decode()}"
        return expected in self.headers["webhook-signature"].split()


class Receiver:
    """`answers`: statuses of the next requests; then 204."""

    def __init__(self, ca_file: Path) -> None:
        self.url = ""
        self.ca_file = ca_file
        self.came: list[Came] = []
        self.answers: list[int] = []

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.came.append(Came(headers=headers, body=await request.read()))
        status = self.answers.pop(0) if self.answers else 204
        return web.Response(status=status, headers={"Location": self.url} if 300 <= status < 400 else {})


@asynccontextmanager
async def local_receiver(directory: Path) -> AsyncIterator[Receiver]:
    certificate = own_certificate(directory)
    receiver = Receiver(certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, directory / "issuer.key")
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    receiver.url = f"https://127.0.0.1:{runner.addresses[0][1]}/hooks"
    try:
        yield receiver
    finally:
        await runner.cleanup()
