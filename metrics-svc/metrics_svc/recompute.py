"""A new version of the catalog: what it gives another meaning is derived again, and nothing else."""

from collections.abc import Sequence

from metrics_svc.derivation import Touched, derive, refresh_days, tell_flow, with_deployments
from metrics_svc.meaning import Suffered, owned, service_of_incident, services_of_origin, standing_alone, standings
from metrics_svc.store import buckets, meanings, timeline
from metrics_svc.store import facts as fact_store
from shared.catalog import Catalog
from shared.db import Connection, locks
from shared.db.catalogs import Version
from shared.telemetry import logs

log = logs.get(__name__)

CHANGES_AT_ONCE = 1_000


async def recompute(tx: Connection, old: Version, new: Version) -> None:
    """Equal to deriving everything by the new version from the start (law 4)."""
    was, now = old.content, new.content
    names = await meanings.repositories(tx)
    repositories = {name: services_of_origin(name, now) for name in names if _held(name, was) != _held(name, now)}
    brought = [name for name in (*names, *await meanings.brought(tx)) if _held(name, was) != _held(name, now)]
    places = [p for p in await meanings.places(tx) if standing_alone(p, was) != standing_alone(p, now)]
    sufferers = [s for s in await meanings.sufferers(tx) if _suffers(s, was) != _suffers(s, now)]
    incidents = await meanings.incidents_of(tx, sufferers)
    await locks.lock(
        tx,
        "service",
        {
            *(service for name in names for version in (was, now) for service in services_of_origin(name, version)),
            *(service for s in sufferers for v in (was, now) if (service := service_of_incident(s, v))),
        },
    )
    moved = await meanings.deployments_at(tx, places)
    if brought:
        moved += await meanings.bringing(tx, brought)
    deployments = await fact_store.reports_of_the_same(tx, moved)
    touched = Touched(
        repositories=repositories,
        changes=await meanings.changes_of(tx, list(repositories)),
        discussed=(),
        landed=(),
        pushed=(),
        deployments={},
        incidents={i.id: service_of_incident(i, now) for i in incidents},
    )
    touched = with_deployments(touched, standings(deployments, now), now)
    await buckets.refresh(tx, await derive(tx, touched, now), {})
    if (was.bots, was.ai_agents) != (now.bots, now.ai_agents):
        await _classify_again(tx, await meanings.changes_of(tx, names), now)
    await timeline.record_services(tx, [owned(name, now) for name in await meanings.services(tx)])
    await meanings.forget_services(tx)
    log.info(
        "catalog.recomputed",
        version=new.number,
        repositories=len(repositories),
        deployments=len(deployments),
        incidents=len(incidents),
    )


async def _classify_again(tx: Connection, changes: Sequence[str], catalog: Catalog) -> None:
    """Whoever is a robot now, or is none: as author, or as reviewer. All changes are too many to hold at once."""
    for start in range(0, len(changes), CHANGES_AT_ONCE):
        some = changes[start : start + CHANGES_AT_ONCE]
        touched = Touched(
            repositories={}, changes=(), discussed=some, landed=(), pushed=(), deployments={}, incidents={}
        )
        await refresh_days(tx, await tell_flow(tx, touched, catalog))


def _held(name: str, catalog: Catalog) -> list[tuple[str, tuple[str, ...]]]:
    """What an origin stands for, and where in it that lives."""
    return [(service, catalog.paths_of(service)) for service in services_of_origin(name, catalog)]


def _suffers(incident: Suffered, catalog: Catalog) -> tuple[str | None, float]:
    """Whose incident it is, and how long before it its cause may lie."""
    service = service_of_incident(incident, catalog)
    return service, catalog.incident_window_h(service)
