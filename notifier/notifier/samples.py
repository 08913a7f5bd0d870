"""Cards of the story that the contracts' examples tell, step by step: what templates are tried on. Pure."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeGuard

from notifier.cards import Card, card
from notifier.living import NEWS, SLOTS, Content, ThingEvent, kind_of_thing, merge
from notifier.render import render
from notifier.templates import Templates
from shared.catalog import Catalog
from shared.contracts.events import Event
from shared.contracts.examples import EXAMPLES


def told(events: Iterable[Event], catalog: Catalog) -> Iterator[Card]:
    """The card of one thing after each of its events; what makes no card is passed over."""
    content: Content = {}
    for event in events:
        if is_told(event):
            content = merge(content, event)
            yield card(content, catalog)


def is_told(event: Event) -> TypeGuard[ThingEvent]:
    return type(event) in SLOTS


def samples(name: str) -> list[Card]:
    """Of the kinds of thing that a template is for."""
    kinds = NEWS if name == "news" else (name,)
    of_kind = ((event for event in EXAMPLES if is_told(event) and kind_of_thing(event) == kind) for kind in kinds)
    return [each for events in of_kind for each in told(events, Catalog())]


def tried(directory: Path | None) -> Templates:
    """An operator's templates; ours in place of those that can't say what happens in the examples."""
    templates = Templates(directory)
    for name in templates.own:
        for each in samples(name):
            render(each, templates)
    return templates
