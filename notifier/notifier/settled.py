"""What notifier tells whoever asked for a message. Pure."""

from datetime import datetime

from notifier.living import NUDGE
from shared.contracts.events import MessageSettled
from shared.contracts.ids import step_of_entity
from shared.contracts.services import NOTIFIER

ENDS = ("shown", "dry_run", "dead")
REASONS = {"dry_run": "dry run: notifier has no SLACK_BOT_TOKEN"}


def nudge_of(key: str) -> str:
    """Id of the nudge that a message is of; empty for all others."""
    return key.removeprefix(NUDGE).partition("@")[0] if key.startswith(NUDGE) else ""


def settled(nudge: str, state: str, *, at: datetime, channel: str = "", reason: str = "") -> MessageSettled:
    """The same once more is the same event."""
    event = MessageSettled(
        occurred_at=at, nudge=nudge, state=state, channel=channel, reason=reason or REASONS.get(state, "")
    )
    return event.stamped(
        id=step_of_entity(service=NOTIFIER.name, entity=f"{NUDGE}{nudge}", revision=1, step=state),
        source=NOTIFIER.name,
        origin="live",
        received_at=at,
    )
