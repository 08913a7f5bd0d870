"""What is known of services, deployments, changes and incidents, in pages."""

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from metrics_svc.api_dora import send_page
from metrics_svc.asked import PAGING, Asked, check
from metrics_svc.examples import shown
from metrics_svc.sending import send
from metrics_svc.settings import Settings
from metrics_svc.store import items, reading
from metrics_svc.store.known import snapshot
from shared.db import Pool
from shared.db.catalogs import CurrentCatalog
from shared.http.auth import Identity, require


def router(settings: Settings, catalogs: CurrentCatalog, pool: Pool) -> APIRouter:
    routes = APIRouter(tags=["lists"])
    viewer = require(settings, "viewer")

    @routes.get("/v1/services", responses=shown("/v1/services"))
    async def services(request: Request, _: Identity = viewer) -> Response:
        """All services, with team and what stands for them."""
        check(request, once=())
        async with pool.acquire() as tx, snapshot(tx):
            rows = await reading.described_services(tx, catalogs.catalog)
        return send(request, {"items": rows, "next": None}, rows)

    @routes.get("/v1/deployments", responses=shown("/v1/deployments"))
    async def deployments(request: Request, asked: Asked = Depends(), _: Identity = viewer) -> Response:
        """Succeeded production deployments by the time they finished."""
        return await _list(request, asked, "deployments")

    @routes.get("/v1/changes", responses=shown("/v1/changes"))
    async def changes(request: Request, asked: Asked = Depends(), _: Identity = viewer) -> Response:
        """Merged changes by the time of the merge, with the deployment that carried each, if one did."""
        return await _list(request, asked, "changes")

    @routes.get("/v1/incidents", responses=shown("/v1/incidents"))
    async def incidents(request: Request, asked: Asked = Depends(), _: Identity = viewer) -> Response:
        """Incidents by the time they opened, with the deployment that caused each, if one did."""
        return await _list(request, asked, "incidents")

    async def _list(request: Request, asked: Asked, name: str) -> Response:
        async with pool.acquire() as tx, snapshot(tx):
            question = await asked.question(tx, catalogs.catalog, beside=PAGING, of_changes=name == "changes")
            return await send_page(request, tx, items.LISTS[name], question, asked)

    return routes
