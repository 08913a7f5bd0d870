"""What notifier consumes: what happened to things, what people typed, and replies that others ask it to give."""

from notifier.handlers import Handlers
from notifier.living import SLOTS
from shared.bus import Bus, Consumer
from shared.contracts.events import Bulletin, ChatAction, ChatCommand, CommitsPushed, Nudge, Reply
from shared.contracts.streams import NOTIFIER_EVENTS, NOTIFIER_NOTIFY
from shared.db import Pool


def build(bus: Bus, pool: Pool, handlers: Handlers) -> tuple[Consumer, Consumer]:
    """Events, and what was asked for explicitly."""
    events = Consumer(
        bus=bus,
        pool=pool,
        durable=NOTIFIER_EVENTS,
        handlers={
            **dict.fromkeys(SLOTS, handlers.on_thing),
            CommitsPushed: handlers.on_push,
            ChatCommand: handlers.on_command,
            ChatAction: handlers.on_action,
        },
    )
    asked = Consumer(
        bus=bus,
        pool=pool,
        durable=NOTIFIER_NOTIFY,
        handlers={Reply: handlers.on_reply, Nudge: handlers.on_thing, Bulletin: handlers.on_thing},
    )
    return events, asked
