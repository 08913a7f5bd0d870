"""One exchange with a client: the request takes effect, unless a fault keeps it or its answer away."""

import asyncio
from collections.abc import Callable
from typing import Any, assert_never

import msgspec
from aiohttp import web

from em.sandbox.faults import FaultPlan, Rule
from em.sandbox.ledger import Entry, Ledger

HANG_MAX_S = 600.0
HANG_POLL_S = 0.02
HTML_ERROR = "<!DOCTYPE html><html><head><title>Server Error</title></head><body>Server Error</body></html>"


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """An answer before it is sent: JSON, or plain text; `stored` says that it changed the platform's state."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = {}
    stored: bool = False


class Exchange:
    """Carries requests of both platforms through ledger and fault plan."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.faults = FaultPlan()
        self._late: set[asyncio.TimerHandle] = set()

    def reset(self) -> None:
        """Forget ledger and faults, and what would still have taken effect late."""
        for timer in self._late:
            timer.cancel()
        self._late.clear()
        self.ledger = Ledger()
        self.faults.clear()

    async def answer(
        self, request: web.Request, entry: Entry, bite: Rule | None, act: Callable[[], Reply], limited: Reply
    ) -> web.Response:
        """Run `act` as far as the fault `bite` allows; `limited` is the platform's body of a 429."""
        if bite is None:
            return self._sent(entry, self._take_effect(entry, act))
        entry.fault = bite.kind
        match bite.kind:
            case "rate_limited":
                header = {} if bite.retry_after is None else {"Retry-After": bite.retry_after}
                return self._sent(entry, Reply(status=429, body=limited.body, headers=header))
            case "server_error":
                entry.status = bite.status
                return web.Response(status=bite.status, text=HTML_ERROR, content_type="text/html")
            case "timeout":
                await _hang(request)
            case "drop_before":
                pass
            case "drop_after":
                self._take_effect(entry, act)
            case "late":
                self._take_effect_later(bite.after_s, entry, act)
            case _:
                assert_never(bite.kind)
        return _cut(request, entry)

    def _take_effect(self, entry: Entry, act: Callable[[], Reply]) -> Reply:
        reply = act()
        if reply.stored:
            self.ledger.commit(entry)
        return reply

    def _take_effect_later(self, after_s: float, entry: Entry, act: Callable[[], Reply]) -> None:
        def due() -> None:
            self._late.discard(timer)
            self._take_effect(entry, act)

        timer = asyncio.get_running_loop().call_later(after_s, due)
        self._late.add(timer)

    def _sent(self, entry: Entry, reply: Reply) -> web.Response:
        entry.status = reply.status
        if isinstance(reply.body, str):
            return web.Response(status=reply.status, text=reply.body, headers=reply.headers)
        body = None if reply.body is None else msgspec.json.encode(reply.body)
        headers = {"Content-Type": "application/json; charset=utf-8"} if body is not None else {}
        return web.Response(status=reply.status, body=body, headers=headers | reply.headers)


async def _hang(request: web.Request) -> None:
    deadline = asyncio.get_running_loop().time() + HANG_MAX_S
    while _is_connected(request) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(HANG_POLL_S)


def _is_connected(request: web.Request) -> bool:
    return request.transport is not None and not request.transport.is_closing()


def _cut(request: web.Request, entry: Entry) -> web.Response:
    entry.cut = True
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # never leaves: the connection is gone
