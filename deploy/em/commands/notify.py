"""`em notify`: what messages look like, without sending any."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from em.commands import routes
from em.commands.environment import adopt_stack
from em.errors import EmError
from em.screen import SCREEN

if TYPE_CHECKING:
    from notifier.cards import Card
    from notifier.living import ThingEvent
    from notifier.templates import Templates

app = typer.Typer(help="Messages: how they look, and an operator's templates.", no_args_is_help=True)

Directory = Annotated[Path | None, typer.Option("--templates", help="Your templates; by default TEMPLATES_PATH.")]


@app.command()
def check(templates: Directory = None) -> None:
    """Say whether your templates can be used; ours take the place of one that can't."""
    adopt_stack()
    tried = _templates(templates)
    if tried.problems:
        raise EmError("; ".join(f"{file}: {why}" for file, why in tried.problems.items()))
    SCREEN.line(f"in use: {', '.join(tried.own) or 'none of yours'}, no mistake")


@app.command()
def preview(
    what: Annotated[str, typer.Argument(help="A kind of event or card, a file with an event in JSON, or -")],
    templates: Directory = None,
    catalog: routes.CatalogFile = None,
    route: Annotated[bool, typer.Option("--route", help="Also who would be told, and why.")] = False,
    html: Annotated[Path | None, typer.Option(help="Write a page at phone width.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write a picture of it; needs chromium.")] = None,
) -> None:
    """Show the text and the blocks of a message, as notifier would send it.

    Kinds are shown by the contracts' examples: approval.requested, or all steps of a card: approval.
    """
    adopt_stack()
    from em import phone
    from notifier.cards import card
    from notifier.living import merge
    from notifier.render import render

    words = _templates(templates)
    if what == "-" or Path(what).suffix == ".json":
        event = routes.event_of(sys.stdin.read() if what == "-" else routes.text_of(Path(what)))
        shown = [card(merge({}, event), routes.catalog_of(catalog or routes.path_of("CATALOG_PATH")))]
    else:
        shown, event = _example(what)
    messages = [render(each, words) for each in shown]
    for message in messages:
        SCREEN.line(message.text)
        SCREEN.out.out(json.dumps({"blocks": message.blocks}, indent=2, ensure_ascii=False))
    if route:
        placed = routes.would_place(event, None, catalog, datetime.now(UTC))
        routes.print_places(placed, as_json=False)
    page = phone.page(messages)
    if html:
        html.write_text(page, encoding="utf-8")
        SCREEN.line(f"wrote {html}")
    if png:
        phone.picture(page, png)
        SCREEN.line(f"wrote {png}")


def _templates(directory: Path | None) -> "Templates":
    from notifier.samples import tried

    given = os.environ.get("TEMPLATES_PATH")
    return tried(directory or (Path(given) if given else None))


def _example(what: str) -> "tuple[list[Card], ThingEvent]":
    """One event's, or all steps of a card's."""
    from notifier.cards import card
    from notifier.living import SLOTS, kind_of_thing, merge
    from notifier.samples import is_told, samples
    from notifier.templates import NAMES
    from shared.catalog import Catalog
    from shared.contracts.events import KINDS
    from shared.contracts.examples import EXAMPLES

    told = [event for event in EXAMPLES if is_told(event)]
    for event in told:
        if type(event) is KINDS.get(what):
            return [card(merge({}, event), Catalog())], event
    of_card = [event for event in told if kind_of_thing(event) == what]
    if what in NAMES and of_card:
        return samples(what), of_card[-1]
    kinds: list[Any] = sorted(name for name, kind in KINDS.items() if kind in SLOTS)
    raise EmError(f"there is no message of {what}", hint=f"kinds: {', '.join([*NAMES, *kinds])}")
