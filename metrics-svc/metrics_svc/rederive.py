"""Everything that follows from the facts, once more from the facts alone: service by service, set by set."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain

import msgspec

from metrics_svc.derivation import Touched, derive, with_deployments
from metrics_svc.meaning import service_of, service_of_incident, services_of_origin, standings
from metrics_svc.store import facts as fact_store
from metrics_svc.store import meanings
from shared.catalog import Catalog
from shared.db import Connection, locks

CHANGES_AT_ONCE = 20_000
# The first part is derived while the planner knows nothing of the tables that it fills.
CHANGES_AT_FIRST = 2_000


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Some services: their repositories and applications (mapped to all that they hold), their incidents, their size.

    Services that share a repository are in one part.
    """

    origins: Mapping[str, Sequence[str]]
    incidents: Mapping[str, str | None]
    changes: int


async def parts(tx: Connection, catalog: Catalog) -> list[Part]:
    """All that facts name, in parts that one statement can take, each apart from the others; the first is small."""
    origins: dict[str, dict[str, Sequence[str]]] = defaultdict(dict)
    incidents: dict[str, dict[str, str | None]] = defaultdict(dict)
    sizes: dict[str, int] = defaultdict(int)
    told = await meanings.origins(tx)
    held = {name: services_of_origin(name, catalog) for name, _ in told}
    first = _first_of_sharing(held.values())
    for name, changes in told:
        service = first(held[name][0])
        origins[service][name] = held[name]
        sizes[service] += changes
    for incident in await meanings.incidents(tx):
        service_or_none = service_of_incident(incident, catalog)
        incidents[first(service_or_none or "")][incident.id] = service_or_none
    groups = _grouped(sorted({*origins, *incidents}, key=lambda service: (sizes[service], service)), sizes)
    return [
        Part(
            origins={name: services for each in group for name, services in origins[each].items()},
            incidents={name: service for each in group for name, service in incidents[each].items()},
            changes=sum(sizes[each] for each in group),
        )
        for group in groups
    ]


async def rederive(tx: Connection, part: Part, catalog: Catalog) -> None:
    """Under the locks of the part's services, so that what comes meanwhile is in it or comes after."""
    services = {*chain.from_iterable(part.origins.values()), *(each for each in part.incidents.values() if each)}
    await locks.lock(tx, "service", services)
    ours = await meanings.succeeded(tx, list(part.origins))
    reports = await fact_store.reports_of_the_same(tx, ours)
    told = standings([r for r in reports if service_of(r, catalog) in services], catalog)
    touched = Touched(
        repositories=part.origins,
        changes=await meanings.changes_of(tx, list(part.origins)),
        discussed=(),
        landed=(),
        pushed=(),
        deployments={},
        incidents=part.incidents,
    )
    await derive(tx, with_deployments(touched, told, catalog), catalog)


def _first_of_sharing(together: Iterable[Sequence[str]]) -> Callable[[str], str]:
    """Of each service one that stands for all that it shares repositories with."""
    first: dict[str, str] = {}

    def found(service: str) -> str:
        while first.setdefault(service, service) != service:
            service = first[service]
        return service

    for services in together:
        for service in services[1:]:
            first[found(service)] = found(services[0])
    return found


def _grouped(services: Sequence[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    group: list[str] = []
    most = CHANGES_AT_FIRST
    for service in services:
        if group and sum(sizes[each] for each in group) + sizes[service] > most:
            yield group
            group, most = [], CHANGES_AT_ONCE
        group.append(service)
    if group:
        yield group
