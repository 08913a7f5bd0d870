"""Pure ASGI middleware: request id, one log line and the HTTP metrics per request."""

import time
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.http.request_id import adopt
from shared.telemetry import logs, metrics, tracing

log = logs.get("http")

QUIET_PATHS = frozenset({"/live", "/ready", "/metrics"})


class Requests:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp, *, service: str) -> None:
        self._app = app
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        chosen = adopt(headers.get(b"x-request-id", b""))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=chosen)
        status = 500
        started = time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", chosen.encode())]
            await send(message)

        with tracing.span("http request", link=headers.get(b"traceparent", b"").decode("latin-1")):
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                self._record(scope, status, time.perf_counter() - started)

    def _record(self, scope: Scope, status: int, duration_s: float) -> None:
        route = _route(scope)
        method = scope["method"]
        metrics.http_requests.labels(self._service, method, route, f"{status // 100}xx").inc()
        metrics.http_request_duration.labels(self._service, method, route).observe(duration_s)
        if scope["path"] in QUIET_PATHS and status < 400:
            return
        log.info(
            "request.completed",
            path=scope["path"],
            method=method,
            status=status,
            duration_ms=round(duration_s * 1000, 1),
            trace_id=tracing.trace_id(),
        )


def _route(scope: Scope) -> str:
    """The declared path, never the requested one: label values stay bounded."""
    route: Any = scope.get("route")
    return str(getattr(route, "path", "")) or str(scope.get("em.route", "unmatched"))
