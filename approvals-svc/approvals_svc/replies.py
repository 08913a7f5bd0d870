"""Answers to one person in chat. Pure."""

from datetime import datetime

import msgspec

from shared.contracts.events import Reply
from shared.contracts.ids import step_of_entity
from shared.contracts.services import APPROVALS_SVC


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """Who is answered, and the event that is answered."""

    cause: str
    origin: str
    received_at: datetime
    team: str
    channel: str
    user: str


def reply(asker: Asker, text: str) -> Reply:
    """Dated by what it answers, so that nobody is answered hours later; one per cause."""
    return Reply(
        occurred_at=asker.received_at, team=asker.team, channel=asker.channel, user=asker.user, text=text
    ).stamped(
        id=step_of_entity(service=APPROVALS_SVC.name, entity=f"reply:{asker.cause}", revision=0, step="reply"),
        source=APPROVALS_SVC.name,
        origin=asker.origin,
        received_at=asker.received_at,
    )
