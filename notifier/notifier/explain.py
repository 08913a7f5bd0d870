"""Why people were, or were not, told of an event: one reason per event and place. Pure."""

from collections.abc import Sequence

import msgspec

from notifier.living import Absorbed, Thing, ThingEvent
from notifier.placing import Placed

STEPS_MAX = 60


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """`decision`: now, group, quiet, digest, nobody, no_channel, edit, held, same, no_news.

    `steps`: each route that was asked, and the condition that kept the event out of it.
    """

    event: str
    kind: str
    thing: str
    decision: str
    why: str
    channel: str = ""
    route: str = ""
    steps: tuple[tuple[str, str], ...] = ()


def ignored(event: ThingEvent, thing_key: str) -> Reason:
    why = "an approval tells of it, or it is part of something else, or it went well"
    return Reason(event=event.id, kind=event.kind, thing=thing_key, decision="no_news", why=why)


def placed(event: ThingEvent, thing_key: str, where: Placed) -> list[Reason]:
    """One for each place."""
    steps = tuple((step.route, step.refused) for step in where.steps[:STEPS_MAX])
    return [
        Reason(
            event=event.id,
            kind=event.kind,
            thing=thing_key,
            decision=each.how,
            why=each.why,
            channel=each.to,
            route=each.route,
            steps=steps,
        )
        for each in where.places
    ]


def reasons(
    thing_key: str,
    thing: Thing,
    events: Sequence[ThingEvent],
    absorbed: Absorbed,
    where: Placed | None,
    placed_by: ThingEvent | None,
) -> tuple[Reason, ...]:
    """`placed_by`: the event that brings the cards of `where`, beside those that stand."""
    held = {event.id: reason for event, reason in absorbed.held}
    found: list[Reason] = []
    for event in events:
        base = Reason(event=event.id, kind=event.kind, thing=thing_key, decision="", why="")
        if event.id in held:
            why = {"origin": "it is told again, or not live", "stale": "it is too old to be news"}[held[event.id]]
            found.append(msgspec.structs.replace(base, decision="held", why=why))
            continue
        if placed_by is event and where is not None:
            found += placed(event, thing_key, where)
        if thing.told:
            found += [
                msgspec.structs.replace(base, decision="edit", why="its message stands already", channel=card.channel)
                for card in thing.cards
            ]
        elif placed_by is not event:
            why = "it tells nothing that calls for a message of its own"
            found.append(msgspec.structs.replace(base, decision="same", why=why))
    return tuple(found)
