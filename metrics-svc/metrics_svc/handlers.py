"""Store the facts of a batch and derive what follows; answer the command `/em dora`."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain

from metrics_svc import answers, dora, facts, wording
from metrics_svc.derivation import Touched, derive, with_deployments
from metrics_svc.facts import Fact
from metrics_svc.meaning import Standing, service_of, service_of_incident, services_of_origin, standings
from metrics_svc.question import Question
from metrics_svc.store import buckets, reading, work_facts
from metrics_svc.store import facts as fact_store
from metrics_svc.store.facts import StoredDeployment
from metrics_svc.store.links import services_of_incidents
from metrics_svc.store.samples import samples
from metrics_svc.window import DEFAULT_DAYS, last_days
from shared.catalog import Catalog
from shared.contracts.commands import owned_by
from shared.contracts.envelope import event_message
from shared.contracts.events import ChatCommand, Reply
from shared.contracts.ids import step_of_entity
from shared.contracts.services import METRICS_SVC
from shared.contracts.subjects import Subjects
from shared.contracts.vocabulary import acting_origins
from shared.db import Connection, locks, outbox
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


class Commands:
    """What people ask in chat."""

    def __init__(self, catalogs: CurrentCatalog, subjects: Subjects, *, acts_on_demo: bool) -> None:
        self._catalogs = catalogs
        self._subjects = subjects
        self._acting = acting_origins(demo=acts_on_demo)

    async def on_command(self, events: Sequence[ChatCommand], tx: Connection) -> None:
        """Old or replayed commands are noted and not answered (law 9)."""
        for event in events:
            invocation = owned_by(METRICS_SVC.name, event.text)
            if invocation is None or invocation.command is None:
                continue
            now = await reading.now(tx)
            held_because = self._held_because(event, now)
            await fact_store.record_command(
                tx,
                command_id=event.id,
                name=invocation.command.name,
                received_at=event.received_at,
                held_because=held_because,
            )
            if not held_because:
                text = invocation.problem or await self._answer(tx, invocation.given, now)
                await outbox.add(tx, [event_message(_reply(event, text, now), self._subjects)])

    def _held_because(self, event: ChatCommand, now: datetime) -> str:
        if event.origin not in self._acting:
            return f"origin {event.origin}"
        if event.received_at is None or now - event.received_at > COMMAND_FRESH:
            return "stale"
        return ""

    async def _answer(self, tx: Connection, given: Mapping[str, str], now: datetime) -> str:
        wanted, days = given.get("service", ""), int(given.get("days", DEFAULT_DAYS))
        services = await reading.services(tx, (await self._catalogs.current(tx)).content)
        if wanted and wanted not in services:
            return wording.unknown_service(wanted, services)
        question = Question(services=[wanted] if wanted else services, window=last_days(days, now))
        measured = answers.measure(question, await samples(tx, question, dora.METRICS), None, dora.METRICS)
        return wording.summary([measured[name, 0] for name in question.services], question.services, days)


def _reply(event: ChatCommand, text: str, now: datetime) -> Reply:
    return Reply(occurred_at=now, team=event.team, channel=event.channel, user=event.user, text=text).stamped(
        id=step_of_entity(service=METRICS_SVC.name, entity=f"command:{event.id}", revision=1, step="reply"),
        source=METRICS_SVC.name,
        delivery=event.delivery,
        origin=event.origin,
        received_at=event.received_at,
    )
