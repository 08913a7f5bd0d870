"""What happened to an incident, row by row: notes go into the threads of its cards, and a card elsewhere starts with
the last of them."""

from collections.abc import Sequence

from notifier import posted_store, store, timeline_store
from notifier.living import Posting, Thing, key
from notifier.mrkdwn import moment, text
from notifier.render import Message
from notifier.timeline_store import Row
from shared.catalog import Catalog
from shared.contracts.commands import Invocation
from shared.contracts.events import (
    ChatCommand,
    Event,
    Incident,
    IncidentAcknowledged,
    IncidentNoted,
    IncidentOpened,
    IncidentReopened,
)
from shared.db import Connection, locks

ROWS_SHOWN = 10
SAID_MAX_CHARACTERS = 250  # ten of them are a message
NOTE_MAX_CHARACTERS = 2_500
WHO_MAX_CHARACTERS = 60


async def record(tx: Connection, events: Sequence[Event], catalog: Catalog) -> None:
    rows = [_row(event, catalog) for event in events if isinstance(event, Incident)]
    await timeline_store.record(tx, [row for row in rows if row.said])


def notes(thing: Thing, fresh: Sequence[Event], catalog: Catalog) -> list[store.NewNote]:
    """What people said of an incident, for the thread of each of its cards."""
    return [
        store.NewNote(key=f"{posting.key}#said:{event.id}", root=posting, urgent=True, message=_message(event, catalog))
        for event in fresh
        if isinstance(event, IncidentNoted) and event.note
        for posting in thing.cards
    ]


async def post(tx: Connection, command: ChatCommand, invocation: Invocation, catalog: Catalog) -> str:
    """A card of the incident in one more channel. What to say at once; empty where the link follows."""
    if not catalog.is_member(command.user):
        return "Only who is in the catalog with a Slack account may post for all."
    incident_id, channel = invocation.given["id"], invocation.given.get("#channel", command.channel)
    thing_key = f"incident:{command.source}:{incident_id}"
    await locks.lock(tx, "thing", [thing_key])
    thing = (await store.things(tx, [thing_key])).get(thing_key)
    if thing is None:
        return f"No incident has the id {incident_id}."
    card = store.NewCard(thing=thing_key, channel=channel, urgent=True)
    if any(posting.key == card.key for posting in thing.cards):
        return "Its card is there already, and follows what happens."
    await store.tell(tx, [card])
    root = Posting(key=card.key, channel=channel, is_shown=False)
    said = "\n".join(map(_line, await timeline_store.last(tx, thing_key, limit=ROWS_SHOWN)))
    await store.note(tx, [store.NewNote(key=f"{card.key}#rows", root=root, urgent=True, message=Message(text=said))])
    await posted_store.expect(tx, [(card.key, command.channel, command.user)])
    return ""


def _row(event: Incident, catalog: Catalog) -> Row:
    """PostgreSQL takes no NUL."""
    return Row(
        thing=key(event),
        id=event.id,
        at=event.occurred_at,
        received_at=event.received_at or event.occurred_at,
        who=_who(event, catalog),
        said=_said(event).replace("\x00", ""),
    )


def _said(event: Incident) -> str:
    match event:
        case IncidentOpened():
            return f"opened: {event.title}"
        case IncidentNoted():
            return event.note
        case IncidentAcknowledged():
            return "acknowledged"
        case IncidentReopened():
            return "reopened"
        case _:
            return "resolved"


def _message(event: IncidentNoted, catalog: Catalog) -> Message:
    who = text(_who(event, catalog), characters_max=WHO_MAX_CHARACTERS)
    said = text(event.note, characters_max=NOTE_MAX_CHARACTERS)
    return Message(text=f"{who}: {said}" if who else said)


def _line(row: Row) -> str:
    who = text(row.who, characters_max=WHO_MAX_CHARACTERS)
    said = text(row.said, characters_max=SAID_MAX_CHARACTERS)
    return f"• {moment(row.at)} {f'{who}: {said}' if who else said}"


def _who(event: Incident, catalog: Catalog) -> str:
    person = catalog.person(event.source, event.actor)
    return person.name if person else ""
