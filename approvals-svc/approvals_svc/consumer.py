"""What approvals-svc consumes: gates that wait and what ends them, what evidence is made of, what people say."""

from collections.abc import Sequence

from approvals_svc.check_handlers import CheckHandlers
from approvals_svc.elsewhere import Elsewhere
from approvals_svc.handlers import Handlers
from approvals_svc.signal_handlers import SignalHandlers
from shared.bus import Bus, Consumer
from shared.contracts.events import (
    AlertFired,
    AlertResolved,
    BuildFinished,
    ChangeCheckRequested,
    ChangeClosed,
    ChangeMerged,
    ChangeOpened,
    ChangeReady,
    ChangeReviewed,
    ChangeUpdated,
    ChatAction,
    ChatCommand,
    CommitsPushed,
    DeploymentFinished,
    DeploymentRequested,
    DeploymentReviewed,
    DeploymentStarted,
    IncidentAcknowledged,
    IncidentNoted,
    IncidentOpened,
    IncidentReopened,
    IncidentResolved,
    MessageSettled,
    MetricChanged,
    MetricSignalled,
    QualityReported,
    TicketClosed,
    TicketCreated,
    TicketUpdated,
)
from shared.contracts.streams import APPROVALS_EVENTS
from shared.db import Connection, Pool


def build(
    bus: Bus,
    pool: Pool,
    handlers: Handlers,
    elsewhere: Elsewhere,
    signals: SignalHandlers,
    checks: CheckHandlers,
) -> Consumer:
    async def on_end(ends: Sequence[DeploymentFinished | ChangeMerged | ChangeClosed], tx: Connection) -> None:
        await handlers.on_facts(ends, tx)
        await elsewhere.on_passing(ends, tx)

    return Consumer(
        bus=bus,
        pool=pool,
        durable=APPROVALS_EVENTS,
        handlers={
            **dict.fromkeys(FACTS, handlers.on_facts),
            CommitsPushed: handlers.on_commits_pushed,
            DeploymentRequested: handlers.on_gate_requested,
            DeploymentReviewed: elsewhere.on_reviewed,
            DeploymentStarted: elsewhere.on_passing,
            DeploymentFinished: on_end,
            ChangeCheckRequested: checks.on_check_requested,
            ChangeMerged: on_end,
            ChangeClosed: on_end,
            BuildFinished: elsewhere.on_passing,
            ChatAction: handlers.on_chat,
            ChatCommand: handlers.on_chat,
            MessageSettled: handlers.on_message_settled,
            MetricSignalled: signals.on_signalled,
        },
    )


FACTS = (
    ChangeOpened,
    ChangeUpdated,
    ChangeReady,
    ChangeReviewed,
    IncidentOpened,
    IncidentAcknowledged,
    IncidentReopened,
    IncidentResolved,
    IncidentNoted,
    AlertFired,
    AlertResolved,
    QualityReported,
    TicketCreated,
    TicketUpdated,
    TicketClosed,
    MetricChanged,
)
