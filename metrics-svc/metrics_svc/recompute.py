"""A new version of the catalog: what it gives another meaning is derived again, and nothing else."""

from metrics_svc.derivation import Touched, derive
from metrics_svc.meaning import service_of_deployment, service_of_incident
from metrics_svc.store import meanings
from shared.db import Connection, locks
from shared.db.catalogs import Version
from shared.telemetry import logs

log = logs.get(__name__)


async def recompute(tx: Connection, old: Version, new: Version) -> None:
    """Equal to deriving everything by the new version from the start (law 4)."""
    was, now = old.catalog, new.catalog
    names = await meanings.repositories(tx)
    repositories = {
        name: now.service_of_repository(name)
        for name in names
        if was.service_of_repository(name) != now.service_of_repository(name)
    }
    places = [p for p in await meanings.places(tx) if service_of_deployment(p, was) != service_of_deployment(p, now)]
    sufferers = [s for s in await meanings.sufferers(tx) if service_of_incident(s, was) != service_of_incident(s, now)]
    deployments = await meanings.deployments_at(tx, places)
    incidents = await meanings.incidents_of(tx, sufferers)
    await locks.lock(
        tx,
        "service",
        {
            *(name for repository in names for name in _both(repository, old, new)),
            *(service for s in sufferers for v in (was, now) if (service := service_of_incident(s, v))),
        },
    )
    touched = Touched(
        repositories={**{d.repository: now.service_of_repository(d.repository) for d in deployments}, **repositories},
        changes=await meanings.changes_of(tx, list(repositories)),
        landed=(),
        pushed=(),
        deployments={d.id: service_of_deployment(d, now) for d in deployments},
        incidents={i.id: service_of_incident(i, now) for i in incidents},
    )
    await derive(tx, touched)
    log.info(
        "catalog.recomputed",
        version=new.number,
        repositories=len(repositories),
        deployments=len(deployments),
        incidents=len(incidents),
    )


def _both(repository: str, old: Version, new: Version) -> tuple[str, str]:
    return old.catalog.service_of_repository(repository), new.catalog.service_of_repository(repository)
