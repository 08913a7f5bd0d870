"""`/live /ready /health /metrics`, the same on every service."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from shared.db import Pool
from shared.db.pool import INFRASTRUCTURE_ERRORS

CHECK_TIMEOUT_S = 0.09  # /ready answers within 100 ms even when a dependency hangs

Check = Callable[[], Awaitable[str | None]]
Details = Callable[[], Mapping[str, object]]


def database_check(pool: Pool) -> Check:
    async def problem() -> str | None:
        try:
            await pool.fetchval("SELECT 1")
        except INFRASTRUCTURE_ERRORS as error:
            return f"database: {type(error).__name__}"
        return None

    return problem


def router(*, name: str, version: str, checks: Mapping[str, Check], details: Details | None = None) -> APIRouter:
    """`checks` decide readiness: each returns what is wrong, or None. `details` are shown at /health."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/live")
    async def live() -> JSONResponse:
        return JSONResponse({"status": "live"})

    @routes.get("/ready")
    async def ready() -> JSONResponse:
        problems = await _problems(checks)
        return JSONResponse(
            {"status": "not ready" if problems else "ready", "problems": problems}, 503 if problems else 200
        )

    @routes.get("/health")
    async def health() -> JSONResponse:
        problems = await _problems(checks)
        content = {
            "status": "degraded" if problems else "ok",
            "service": name,
            "version": version,
            "dependencies": {check: problems.get(check, "ok") for check in checks},
            **(details() if details else {}),
        }
        return JSONResponse(content, 503 if problems else 200)

    @routes.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return routes


async def _problems(checks: Mapping[str, Check]) -> dict[str, str]:
    answers = await asyncio.gather(*(_within_time(check) for check in checks.values()))
    return {name: problem for name, problem in zip(checks, answers, strict=True) if problem}


async def _within_time(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            return await check()
    except TimeoutError:
        return f"no answer within {round(CHECK_TIMEOUT_S * 1000)} ms"
