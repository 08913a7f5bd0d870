"""Errors as `application/problem+json`: one shape everywhere, no exception text, no SQL."""

from http import HTTPStatus

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from shared.http.request_id import request_id

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


def body(status: int, kind: str, detail: str = "", **extra: object) -> bytes:
    fields: dict[str, object] = {
        "type": f"/problems/{kind}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id(),
        **extra,
    }
    return msgspec.json.encode(fields)


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

    @app.exception_handler(Exception)
    async def _unexpected(_: Request, __: Exception) -> Response:
        return Response(body(500, "internal-error"), 500, media_type=MEDIA_TYPE)
