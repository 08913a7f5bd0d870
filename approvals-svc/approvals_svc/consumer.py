"""What approvals-svc consumes: gates that wait, and what people click and type."""

from approvals_svc.handlers import Handlers
from shared.bus import Bus, Consumer
from shared.contracts.events import ChatAction, ChatCommand, DeploymentRequested
from shared.contracts.streams import APPROVALS_EVENTS
from shared.db import Pool


def build(bus: Bus, pool: Pool, handlers: Handlers) -> Consumer:
    return Consumer(
        bus=bus,
        pool=pool,
        durable=APPROVALS_EVENTS,
        handlers={
            DeploymentRequested: handlers.on_gate_requested,
            ChatAction: handlers.on_chat,
            ChatCommand: handlers.on_chat,
        },
    )
