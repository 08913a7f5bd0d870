"""What ours is compared with in Python: an empty answer, the handler one would write first, and the bare hot path."""

import hashlib
import hmac
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import nats
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.types import Receive, Scope, Send

from shared.bus.link import Link
from shared.bus.publisher import Publisher
from shared.contracts.envelope import Outgoing
from shared.contracts.subjects import Subjects

SECRET = os.environ.get("GITHUB_WEBHOOK_SECRET", "").encode()
SUBJECT = "em.raw.github.push"
ACCEPTED = [(b"content-type", b"application/json"), (b"content-length", b"21")]


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 202, "headers": ACCEPTED})
    await send({"type": "http.response.body", "body": b'{"status":"accepted"}'})


class Prototype:
    """Body, HMAC, publish, answer: no limits, no metrics, no log, no spool."""

    def __init__(self) -> None:
        self._publisher: Publisher | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._publisher is None:
            link = Link()
            await link.connect(os.environ["NATS_URL"], pending_size=64 * 1024 * 1024)
            link.begun = True
            self._publisher = Publisher(link, Subjects("em"))
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = dict(scope["headers"])
        digest = "sha256=" + hmac.digest(SECRET, body, "sha256").hex()
        status = 401
        if hmac.compare_digest(digest.encode(), headers.get(b"x-hub-signature-256", b"")):
            delivery = headers[b"x-github-delivery"].decode()
            await self._publisher.publish(_message(delivery, body), timeout_s=5)
            status = 202
        await send({"type": "http.response.start", "status": status, "headers": ACCEPTED})
        await send({"type": "http.response.body", "body": b'{"status":"accepted"}'})


def _message(delivery: str, body: bytes) -> Outgoing:
    sha256 = hashlib.sha256(body).hexdigest()
    return Outgoing(
        subject=SUBJECT,
        body=body,
        headers={
            "Nats-Msg-Id": f"github:{delivery}:{sha256[:16]}",
            "Em-Source": "github",
            "Em-Delivery": delivery,
            "Em-Sha256": sha256,
        },
    )


def naive() -> FastAPI:
    """As a tutorial would: a handler, `await js.publish`, a dictionary."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        connection = await nats.connect(os.environ["NATS_URL"])
        app.state.js = connection.jetstream()
        yield
        await connection.close()

    app = FastAPI(lifespan=lifespan)

    @app.post("/webhooks/github", status_code=202)
    async def receive(request: Request) -> Any:
        body = await request.body()
        digest = "sha256=" + hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(digest, request.headers.get("x-hub-signature-256", "")):
            return Response(status_code=401)
        message = _message(request.headers["x-github-delivery"], body)
        await request.app.state.js.publish(message.subject, message.body, headers=message.headers)
        return {"status": "accepted"}

    return app


APPS: dict[str, Callable[[], Any]] = {"hello": lambda: hello, "prototype": Prototype, "naive": naive}

if __name__ == "__main__":
    name, port = sys.argv[1:]
    uvicorn.run(APPS[name](), port=int(port), log_level="warning", access_log=False)
