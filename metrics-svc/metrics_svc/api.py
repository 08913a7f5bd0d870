"""metrics-svc's HTTP API: every number with what made it, as JSON or CSV."""

from collections.abc import Mapping
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import Response

from metrics_svc import api_dora, api_explain, api_flow, api_lists, api_old, api_reports
from metrics_svc.settings import Settings
from metrics_svc.window import InvalidParameter
from shared.contracts.services import METRICS_SVC
from shared.db import Pool
from shared.db.catalogs import CurrentCatalog
from shared.http import problems
from shared.http.app import create_app
from shared.http.probes import Check
from shared.http.problems import Problem

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    "X-Content-Type-Options": "nosniff",
}


def build(settings: Settings, catalogs: CurrentCatalog, pool: Pool, checks: Mapping[str, Check]) -> FastAPI:
    app = create_app(settings, METRICS_SVC, checks=checks, details=lambda: {"catalog": catalogs.status})

    @app.exception_handler(InvalidParameter)
    async def _invalid(_: Request, error: InvalidParameter) -> Response:
        content = problems.body(400, "invalid-parameter", str(error), parameter=error.name)
        return Response(content, 400, media_type=problems.MEDIA_TYPE)

    for routes in (api_lists, api_explain, api_dora, api_flow, api_reports, api_old):  # `explain` is no metric's name
        app.include_router(routes.router(settings, catalogs, pool))
    if settings.demo and settings.demo_page_path:
        _add_demo_page(app, settings.demo_page_path)
    return app


def _add_demo_page(app: FastAPI, path: Path) -> None:
    @app.get("/demo", include_in_schema=False)
    def demo_page() -> Response:
        """This one file, and only while the demo's stack runs."""
        try:
            page = path.read_bytes()
        except FileNotFoundError:
            raise Problem(404, "not-found", "the demo has not written its page yet") from None
        return Response(page, media_type="text/html", headers=PAGE_HEADERS)
