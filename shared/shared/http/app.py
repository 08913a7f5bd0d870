"""The application factory that every service uses."""

from collections.abc import Mapping

from fastapi import FastAPI

import shared
from shared.contracts.services import Service
from shared.http import probes, problems
from shared.http.requests import Requests
from shared.settings import ServiceSettings


def create_app(
    settings: ServiceSettings,
    service: Service,
    *,
    checks: Mapping[str, probes.Check],
    details: probes.Details | None = None,
) -> FastAPI:
    """An application with probes, the one error format, request ids, logs and metrics; routes are added to it."""
    version = settings.app_version or shared.__version__
    public_docs = settings.env != "production"
    app = FastAPI(
        title=f"{settings.app_name}: {service.folder}",
        version=version,
        docs_url="/docs" if public_docs else None,
        redoc_url=None,
        openapi_url="/openapi.json" if public_docs else None,
    )
    problems.install(app)
    app.include_router(probes.router(name=service.folder, version=version, checks=checks, details=details))
    app.add_middleware(Requests, service=service.folder)
    return app
