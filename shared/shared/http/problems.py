"""Errors as `application/problem+json`: one shape everywhere, no exception text, no SQL."""

from http import HTTPStatus

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from shared.db.pool import INFRASTRUCTURE_ERRORS
from shared.http.request_id import request_id
from shared.telemetry import logs

log = logs.get(__name__)

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """An answer that is an error. `kind` is stable and part of the contract (`/problems/<kind>`)."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str = "",
        *,
        headers: dict[str, str] | None = None,
        **extra: object,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.headers = headers or {}
        self.extra = extra

    @property
    def document(self) -> dict[str, object]:
        return document(self.status, self.kind, self.detail, **self.extra)


def document(status: int, kind: str, detail: str = "", **extra: object) -> dict[str, object]:
    """RFC 9457."""
    return {
        "type": f"/problems/{kind}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id(),
        **extra,
    }


def body(status: int, kind: str, detail: str = "", **extra: object) -> bytes:
    return msgspec.json.encode(document(status, kind, detail, **extra))


def install(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def _problem(_: Request, problem: Problem) -> Response:
        content = body(problem.status, problem.kind, problem.detail, **problem.extra)
        return Response(content, problem.status, headers=problem.headers, media_type=MEDIA_TYPE)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> Response:
        kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "-")
        return Response(body(error.status_code, kind), error.status_code, headers=error.headers, media_type=MEDIA_TYPE)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        fields = [{"field": ".".join(map(str, e["loc"][1:])), "problem": e["msg"]} for e in error.errors()]
        return Response(body(422, "invalid-request", fields=fields), 422, media_type=MEDIA_TYPE)

    async def _unavailable(_: Request, error: Exception) -> Response:
        """Nobody's fault; whether it happened is for an idempotency key to tell."""
        log.warning("request.unavailable", error=repr(error))
        content = body(503, "unavailable", "the database is away or too busy: try again")
        return Response(content, 503, headers={"Retry-After": "1"}, media_type=MEDIA_TYPE)

    for error in INFRASTRUCTURE_ERRORS:
        app.add_exception_handler(error, _unavailable)

    @app.exception_handler(Exception)
    async def _unexpected(_: Request, __: Exception) -> Response:
        return Response(body(500, "internal-error"), 500, media_type=MEDIA_TYPE)
