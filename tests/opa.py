"""A small OPA on this machine: what it was asked, and what it answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web


class Opa:
    """`answer` is the body of the next answers; `status` and `wait_s` theirs too."""

    def __init__(self) -> None:
        self.url = ""
        self.inputs: list[dict[str, Any]] = []
        self.answer = b"{}"
        self.status = 200
        self.wait_s = 0.0

    def says(self, result: object = None, *, body: bytes | None = None, status: int = 200, wait_s: float = 0.0) -> None:
        """From now on. `result` None: the rule is undefined."""
        document = {} if result is None else {"result": result}
        self.answer = msgspec.json.encode(document) if body is None else body
        self.status, self.wait_s = status, wait_s

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.inputs.append(dict((await request.json())["input"]))
        response = web.StreamResponse(status=self.status, headers={"Location": self.url} if self.status == 307 else {})
        await response.prepare(request)
        half = len(self.answer) // 2
        await response.write(self.answer[:half])  # a slow one is slow in the middle of its body
        await asyncio.sleep(self.wait_s)
        await response.write(self.answer[half:])
        return response


@asynccontextmanager
async def local_opa() -> AsyncIterator[Opa]:
    opa = Opa()
    app = web.Application()
    app.router.add_post("/v1/data/em_agent/decision", opa.take)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    opa.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield opa
    finally:
        await runner.cleanup()
