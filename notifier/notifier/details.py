"""What cards have no room for, as notes in their threads. Pure."""

from collections.abc import Collection, Sequence

from notifier.cards import card
from notifier.deciders import pending
from notifier.living import Content, Posting, Thing
from notifier.render import below
from notifier.store import NewNote
from shared.catalog import Catalog


def details(
    thing_key: str, thing: Thing, content: Content, new: Collection[str], catalog: Catalog
) -> Sequence[NewNote]:
    """Of the cards in `new` channels, and of those that ask about something else by now: each revision has its own."""
    if content == thing.content and not new:
        return ()
    asked = pending(content)
    revision = f"{asked.revision}:" if asked else ""
    stand = {each.channel for each in thing.cards if asked and each.key == f"{thing_key}@{each.channel}"}
    roots = [
        Posting(key=f"{thing_key}@{channel}", channel=channel, is_shown=False) for channel in sorted({*new, *stand})
    ]
    return [
        NewNote(key=f"{root.key}#{revision}{number:02}", root=root, urgent=False, message=message)
        for number, message in enumerate(below(card(content, catalog)))
        for root in roots
    ]
