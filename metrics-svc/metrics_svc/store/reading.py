"""What is known of services, and what time it is."""

from collections.abc import Sequence
from datetime import datetime

from metrics_svc.store import work
from shared.catalog import Catalog
from shared.db import Connection
from shared.http.problems import Problem


async def now(tx: Connection) -> datetime:
    moment: datetime = await tx.fetchval("SELECT clock_timestamp()")
    return moment


async def services(tx: Connection, catalog: Catalog) -> list[str]:
    """Names of all that are in the catalog or have sent something."""
    rows = await tx.fetch("SELECT name FROM service")
    working = await work.services(tx, catalog)
    return sorted({row["name"] for row in rows} | {service.name for service in catalog.services} | working)


async def meant(tx: Connection, catalog: Catalog, wanted: Sequence[str] | None) -> list[str]:
    """Those asked for, or all. Raises Problem (404) for one that nothing is known of."""
    known = await services(tx, catalog)
    for name in wanted or ():
        if name not in known:
            raise Problem(404, "unknown-service", f"service: nothing is known of {name}")
    return sorted(set(wanted)) if wanted else known


async def described_services(tx: Connection, catalog: Catalog) -> list[dict[str, object]]:
    """With what stands for each on the platforms, and whether the catalog names it."""
    rows = await tx.fetch("SELECT service, array_agg(name ORDER BY name) AS origins FROM repository GROUP BY 1")
    origins = {row["service"]: row["origins"] for row in rows}
    listed = {service.name for service in catalog.services}
    return [
        {"service": name, "team": catalog.team_of(name), "in_catalog": name in listed, "origins": origins.get(name, [])}
        for name in await services(tx, catalog)
    ]
