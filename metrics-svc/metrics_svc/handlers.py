"""Store the facts of a batch and derive what follows; answer the command `/em dora`."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import timedelta
from itertools import chain

from metrics_svc import facts
from metrics_svc.derivation import Touched, derive, with_deployments
from metrics_svc.facts import Fact
from metrics_svc.meaning import Standing, service_of, service_of_incident, services_of_origin, standings
from metrics_svc.store import buckets, work_facts
from metrics_svc.store import facts as fact_store
from metrics_svc.store.facts import StoredDeployment
from metrics_svc.store.links import services_of_incidents
from shared.catalog import Catalog
from shared.db import Connection, locks
from shared.db.catalogs import CurrentCatalog

FEW = 50  # events; planning for more pays
CAUSES_MAX = 10  # deliveries that a changed day names
COMMAND_FRESH = timedelta(seconds=60)


class Facts:
    """Changes, commits, deployments, incidents; builds, tickets and reports of quality beside them."""

    def __init__(self, catalogs: CurrentCatalog) -> None:
        self._catalogs = catalogs

    async def on_facts(self, events: Sequence[Fact], tx: Connection) -> list[buckets.Change]:
        """Returns the days that are not what they were."""
        touched, deployments = await self.project(events, tx)
        return await buckets.refresh(tx, deployments, _causes(events, touched)) if deployments else []

    async def project(self, events: Sequence[Fact], tx: Connection) -> tuple[Touched, list[str]]:
        """Facts first, then the locks of all touched services, then what follows: whoever is second sees the first.

        Returns what was told of, and the deployments that may say something else now.
        """
        if len(events) <= FEW:
            await fact_store.expect_few(tx)
        version = await self._catalogs.current(tx)
        touched, stored = await self._record(tx, events, version.content)
        services = {
            *chain.from_iterable(touched.repositories.values()),
            *(service for service in touched.incidents.values() if service),
            *(await services_of_incidents(tx, list(touched.incidents)) if touched.incidents else ()),
        }
        await locks.lock(tx, "service", services)
        deployments = await self._standings(tx, stored, services, version.content) if stored else {}
        touched = with_deployments(touched, deployments, version.content)
        return touched, await derive(tx, touched, version.content)

    async def _record(
        self, tx: Connection, events: Sequence[Fact], catalog: Catalog
    ) -> tuple[Touched, list[StoredDeployment]]:
        changes, commits = facts.changes(events), facts.commits(events)
        deployments, incidents = facts.deployments(events), facts.incidents(events)
        if changes:
            await fact_store.record_changes(tx, changes)
        if commits:
            await fact_store.record_commits(tx, commits)
        if reviews := facts.reviews(events):
            await fact_store.record_reviews(tx, reviews)
        stored_deployments = await fact_store.record_deployments(tx, deployments) if deployments else []
        stored_incidents = await fact_store.record_incidents(tx, incidents) if incidents else []
        if transitions := facts.transitions(events):
            await fact_store.record_transitions(tx, transitions)
        await work_facts.record(tx, events)
        if carried := facts.carried(events):
            await fact_store.record_carried(tx, carried)
        if causes := facts.causes(events):
            await fact_store.record_causes(tx, causes)
        origins = {str(row["repository"]) for row in (*changes, *commits)} | {str(row["origin"]) for row in deployments}
        origins |= facts.commented(events)
        touched = Touched(
            repositories={name: services_of_origin(name, catalog) for name in sorted(origins)},
            changes=sorted({str(row["id"]) for row in changes}),
            discussed=sorted({str(row["change"]) for row in reviews}),
            landed=facts.landed(events),
            pushed=facts.pushed(events),
            deployments={},
            incidents={i.id: service_of_incident(i, catalog) for i in stored_incidents},
        )
        return touched, stored_deployments

    async def _standings(
        self, tx: Connection, stored: Sequence[StoredDeployment], services: Collection[str], catalog: Catalog
    ) -> dict[str, Standing | None]:
        """What others report of the same commits is read under the locks; other services' reports are not ours."""
        reports = await fact_store.reports_of_the_same(tx, stored)
        ours = {each.id for each in stored}
        return standings([r for r in reports if r.id in ours or service_of(r, catalog) in services], catalog)


def _causes(events: Sequence[Fact], touched: Touched) -> dict[str, list[str]]:
    """Deliveries by service, some of many."""
    suffering = {name: (service,) for name, service in touched.incidents.items() if service}
    services: dict[str, Sequence[str]] = {**touched.repositories, **suffering}
    found: dict[str, set[str]] = defaultdict(set)
    for event in events:
        for service in services.get(facts.told_of(event), ()):
            found[service].add(event.delivery)
    return {service: sorted(deliveries)[:CAUSES_MAX] for service, deliveries in found.items()}
