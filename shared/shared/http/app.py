"""The application factory that every service uses."""

from collections.abc import Mapping

from fastapi import FastAPI

import shared
from shared.contracts.services import Service
from shared.http import probes, problems
from shared.http.requests import Requests
from shared.settings import ServiceSettings
from shared.telemetry import logs

log = logs.get(__name__)


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
    if settings.is_auth_weaker:
        log.warning("auth.weaker", variable="JWT_ALGORITHM", holds="with HS256 whoever verifies can mint")

    def shown() -> dict[str, object]:
        return {"auth": settings.auth_status, **(details() if details else {})}

    app.include_router(probes.router(name=service.folder, version=version, checks=checks, details=shown))
    app.add_middleware(Requests, service=service.folder)
    return app
