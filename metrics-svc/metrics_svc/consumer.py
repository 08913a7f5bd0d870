"""What metrics-svc consumes. All facts share one handler, so that a batch is stored and derived from once."""

from metrics_svc.handlers import Commands, Facts
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
from shared.contracts.streams import METRICS_EVENTS
from shared.db import Pool
from shared.db.catalogs import Catalogs


def build(settings: Settings, catalogs: Catalogs, bus: Bus, pool: Pool) -> Consumer:
    facts = Facts(catalogs)
    commands = Commands(catalogs, bus.subjects, acts_on_demo=settings.demo)
    return Consumer(bus=bus, pool=pool, durable=METRICS_EVENTS, handlers=table(facts, commands))


def table(facts: Facts, commands: Commands) -> HandlerTable:
    return {
        ChangeOpened: facts.on_facts,
        ChangeUpdated: facts.on_facts,
        ChangeReady: facts.on_facts,
        ChangeReviewed: facts.on_facts,
        ChangeMerged: facts.on_facts,
        ChangeClosed: facts.on_facts,
        CommitsPushed: facts.on_facts,
        DeploymentRequested: facts.on_facts,
        DeploymentStarted: facts.on_facts,
        DeploymentFinished: facts.on_facts,
        IncidentOpened: facts.on_facts,
        IncidentAcknowledged: facts.on_facts,
        IncidentResolved: facts.on_facts,
        IncidentReopened: facts.on_facts,
        IncidentNoted: facts.on_facts,
        ChatCommand: commands.on_command,
    }
