"""Store the facts of a batch and derive what follows; answer the command `/em dora`."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from metrics_svc import dora, facts, wording
from metrics_svc.derivation import Touched, derive
from metrics_svc.facts import Fact
from metrics_svc.meaning import service_of_deployment, service_of_incident
from metrics_svc.store import facts as fact_store
from metrics_svc.store import reading
from metrics_svc.store.links import services_of_incidents
from metrics_svc.window import InvalidParameter, last_days
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

COMMAND_FRESH = timedelta(seconds=60)


class Facts:
    """Changes, commits, deployments and incidents."""

    def __init__(self, catalogs: CurrentCatalog) -> None:
        self._catalogs = catalogs

    async def on_facts(self, events: Sequence[Fact], tx: Connection) -> None:
        """Facts first, then the locks of all touched services, then what follows: whoever is second sees the first."""
        version = await self._catalogs.current(tx)
        touched = await self._record(tx, events, version.catalog)
        services = {
            *touched.repositories.values(),
            *(service for service in touched.incidents.values() if service),
            *(await services_of_incidents(tx, list(touched.incidents)) if touched.incidents else ()),
        }
        await locks.lock(tx, "service", services)
        await derive(tx, touched)

    async def _record(self, tx: Connection, events: Sequence[Fact], catalog: Catalog) -> Touched:
        changes, commits = facts.changes(events), facts.commits(events)
        deployments, incidents = facts.deployments(events), facts.incidents(events)
        if changes:
            await fact_store.record_changes(tx, changes)
        if commits:
            await fact_store.record_commits(tx, commits)
        stored_deployments = await fact_store.record_deployments(tx, deployments) if deployments else []
        stored_incidents = await fact_store.record_incidents(tx, incidents) if incidents else []
        if transitions := facts.transitions(events):
            await fact_store.record_transitions(tx, transitions)
        repositories = sorted({str(row["repository"]) for row in (*changes, *commits, *deployments)})
        return Touched(
            repositories={name: catalog.service_of_repository(name) for name in repositories},
            changes=sorted({str(row["id"]) for row in changes}),
            landed=facts.landed(events),
            pushed=facts.pushed(events),
            deployments={d.id: service_of_deployment(d, catalog) for d in stored_deployments},
            incidents={i.id: service_of_incident(i, catalog) for i in stored_incidents},
        )


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
                text = await self._answer(tx, invocation.arguments, now)
                await outbox.add(tx, [event_message(_reply(event, text, now), self._subjects)])

    def _held_because(self, event: ChatCommand, now: datetime) -> str:
        if event.origin not in self._acting:
            return f"origin {event.origin}"
        if event.received_at is None or now - event.received_at > COMMAND_FRESH:
            return "stale"
        return ""

    async def _answer(self, tx: Connection, arguments: Sequence[str], now: datetime) -> str:
        try:
            wanted, days = wording.read_arguments(arguments)
        except InvalidParameter as invalid:
            return str(invalid)
        window = last_days(days, now)
        services = await reading.services(tx, (await self._catalogs.current(tx)).catalog)
        if wanted and wanted not in services:
            return wording.unknown_service(wanted, services)
        asked = [wanted] if wanted else services
        found = await reading.delivery(tx, asked, window)
        return wording.summary([dora.measure(found.of(name), window) for name in asked], asked, days)


def _reply(event: ChatCommand, text: str, now: datetime) -> Reply:
    return Reply(occurred_at=now, team=event.team, channel=event.channel, user=event.user, text=text).stamped(
        id=step_of_entity(service=METRICS_SVC.name, entity=f"command:{event.id}", revision=1, step="reply"),
        source=METRICS_SVC.name,
        delivery=event.delivery,
        origin=event.origin,
        received_at=event.received_at,
    )
