"""What metrics-svc consumes. All facts share one handler, so that a batch is stored and derived from once."""

from metrics_svc.handlers import Commands, Facts
from metrics_svc.rebuild import OnFacts, RebuiltFacts
from metrics_svc.settings import Settings
from shared.bus import Bus, Consumer, HandlerTable
from shared.contracts.events import (
    ChangeClosed,
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
)
from shared.contracts.streams import METRICS_EVENTS, METRICS_REPLAY
from shared.db import Pool
from shared.db.catalogs import Catalogs


def build(settings: Settings, catalogs: Catalogs, bus: Bus, pool: Pool) -> tuple[Consumer, Consumer]:
    """What is live, and what a rebuild says again."""
    facts = RebuiltFacts(Facts(catalogs))
    commands = Commands(catalogs, bus.subjects, acts_on_demo=settings.demo)
    live = {**table(facts.on_facts), ChatCommand: commands.on_command}
    return (
        Consumer(bus=bus, pool=pool, durable=METRICS_EVENTS, handlers=live),
        Consumer(bus=bus, pool=pool, durable=METRICS_REPLAY, handlers=table(facts.on_replayed)),
    )


def table(on_facts: OnFacts) -> HandlerTable:
    return dict.fromkeys(FACTS, on_facts)


FACTS = (
    ChangeOpened,
    ChangeUpdated,
    ChangeReady,
    ChangeReviewed,
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
)
