"""What metrics-svc consumes. All facts share one handler, so that a batch is stored and derived from once."""

from metrics_svc.answering import Commands
from metrics_svc.handlers import Facts
from metrics_svc.rebuild import OnFacts, RebuiltFacts, on_unused, unswapped
from metrics_svc.settings import Settings
from shared.bus import Bus, Consumer, HandlerTable
from shared.contracts.events import (
    KINDS,
    AlertFired,
    AlertResolved,
    BuildFinished,
    BuildStarted,
    ChangeClosed,
    ChangeCommented,
    ChangeMerged,
    ChangeOpened,
    ChangeReady,
    ChangeReviewed,
    ChangeUpdated,
    ChatCommand,
    CommitsPushed,
    DeploymentFinished,
    DeploymentRequested,
    DeploymentStarted,
    IncidentAcknowledged,
    IncidentNoted,
    IncidentOpened,
    IncidentReopened,
    IncidentResolved,
    QualityReported,
    TicketClosed,
    TicketCreated,
    TicketUpdated,
)
from shared.contracts.services import METRICS_SVC
from shared.contracts.streams import METRICS_EVENTS, METRICS_REPLAY, rebuilt_kinds
from shared.db import Pool
from shared.db.catalogs import Catalogs


def build(settings: Settings, catalogs: Catalogs, bus: Bus, pool: Pool) -> tuple[Consumer, Consumer]:
    """What is live, and what a rebuild says again."""
    facts = RebuiltFacts(Facts(catalogs), bus.subjects)
    commands = Commands(catalogs, bus.subjects, acts_on_demo=settings.demo)
    live = {**table(facts.on_facts), ChatCommand: unswapped(commands.on_command)}
    said = (KINDS[kind] for kind in rebuilt_kinds(METRICS_SVC.name))
    replayed = {**dict.fromkeys(said, on_unused), **table(facts.on_replayed)}
    return (
        Consumer(bus=bus, pool=pool, durable=METRICS_EVENTS, handlers=live),
        Consumer(bus=bus, pool=pool, durable=METRICS_REPLAY, handlers=replayed),
    )


def table(on_facts: OnFacts) -> HandlerTable:
    return dict.fromkeys(FACTS, on_facts)


FACTS = (
    ChangeOpened,
    ChangeUpdated,
    ChangeReady,
    ChangeReviewed,
    ChangeCommented,
    ChangeMerged,
    ChangeClosed,
    CommitsPushed,
    DeploymentRequested,
    DeploymentStarted,
    DeploymentFinished,
    IncidentOpened,
    IncidentAcknowledged,
    IncidentResolved,
    IncidentReopened,
    IncidentNoted,
    AlertFired,
    AlertResolved,
    BuildStarted,
    BuildFinished,
    TicketCreated,
    TicketUpdated,
    TicketClosed,
    QualityReported,
)
