"""`em routes`: who is, or was, told of what, and why."""

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from em import operator
from em.commands.environment import adopt_stack
from em.errors import EmError
from em.screen import SCREEN

if TYPE_CHECKING:
    from notifier.living import ThingEvent
    from notifier.placing import Placed
    from notifier.routes import Route
    from shared.catalog import Catalog

app = typer.Typer(help="The routes: who is told of what.", no_args_is_help=True)

File = Annotated[Path | None, typer.Option(help="A routes.yaml; by default ROUTES_PATH.")]
CatalogFile = Annotated[Path | None, typer.Option(help="A catalog.yaml; by default CATALOG_PATH.")]
AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]


@app.command()
def check(file: File = None) -> None:
    """Say whether the file can be used; a mistake is named by line and field."""
    adopt_stack()
    from notifier.routes import walk

    root = _routes(file or path_of("ROUTES_PATH"))
    SCREEN.line(f"{sum(1 for _ in walk(root)) - 1} routes, no mistake")


@app.command()
def explain(
    event: Annotated[str, typer.Argument(help="An event's id, a thing's key, a file with an event in JSON, or -")],
    file: File = None,
    catalog: CatalogFile = None,
    at: Annotated[datetime | None, typer.Option(help="For quiet hours: a moment in UTC; by default now.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say route by route who would be told of an event, without telling anybody.

    With the id of an event that came, or the key of a thing (approval:7): what became of it, and why.
    """
    adopt_stack()
    if event == "-" or Path(event).suffix == ".json":
        text = sys.stdin.read() if event == "-" else text_of(Path(event))
        placed = would_place(event_of(text), file, catalog, at.replace(tzinfo=UTC) if at else datetime.now(UTC))
        print_places(placed, as_json)
        return
    told = operator.run(lambda: _what_became(event))
    if not told["reasons"]:
        raise EmError(f"nothing is known of {event}", hint="ids of events: GET /v1/notifications/held, or em replay")
    _print_story(told, as_json)


def would_place(event: "ThingEvent", file: Path | None, catalog: Path | None, now: datetime) -> "Placed":
    from notifier.about import about
    from notifier.living import merge
    from notifier.placing import place

    known = catalog_of(catalog or path_of("CATALOG_PATH"))
    content = merge({}, event)
    default = os.environ.get("SLACK_DEFAULT_CHANNEL", "#engineering")
    root = _routes(file or path_of("ROUTES_PATH"))
    return place(content, about(content, known), root, known, default=default, now=now)


async def _what_became(event: str) -> dict[str, Any]:
    from notifier import reason_store
    from shared.contracts.services import NOTIFIER

    async with operator.open_database(NOTIFIER.schema or "") as tx:
        return await reason_store.story(tx, event)


def event_of(text: str) -> "ThingEvent":
    import msgspec

    from notifier.living import SLOTS
    from shared.contracts.events import KINDS

    try:
        kind = msgspec.json.decode(text, type=dict[str, Any]).get("kind", "")
        told: dict[str, Any] = {name: each for name, each in KINDS.items() if each in SLOTS}
        if kind not in told:
            raise EmError(
                f"nobody is told of {kind or 'an event without kind'}", hint=f"kinds: {', '.join(sorted(told))}"
            )
        event: ThingEvent = msgspec.json.decode(text, type=told[kind])
    except msgspec.MsgspecError as error:
        raise EmError(f"not an event: {error}") from None
    return event


def text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EmError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def path_of(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


def _routes(path: Path | None) -> "Route":
    from notifier.route_file import load
    from shared.settings import InvalidConfiguration

    try:
        return load(path)
    except InvalidConfiguration as error:
        raise EmError(str(error)) from None


def catalog_of(path: Path | None) -> "Catalog":
    from shared import catalog
    from shared.settings import InvalidConfiguration

    try:
        return catalog.load(path)
    except InvalidConfiguration as error:
        raise EmError(str(error)) from None


def print_places(placed: "Placed", as_json: bool) -> None:
    import msgspec

    if as_json:
        SCREEN.out.out(json.dumps(msgspec.to_builtins(placed), indent=2))
        return
    width = max(len(step.route) for step in placed.steps)
    for step in placed.steps:
        SCREEN.line(f"{'·' if step.refused else '✓'} {step.route:<{width}}  {step.refused}".rstrip())
    SCREEN.line()
    for each in placed.places:
        SCREEN.line(f"{each.to if each.is_told else 'nobody':<16} {each.why} ({each.route})")


def _print_story(told: dict[str, Any], as_json: bool) -> None:
    if as_json:
        SCREEN.out.out(json.dumps(told, indent=2, default=str))
        return
    for reason in told["reasons"]:
        by = f" ({reason['route']})" if reason["route"] else ""
        where = f"{reason['channel']} " if reason["channel"] else ""
        when = f"{reason['recorded_at']:%Y-%m-%d %H:%M:%S}"
        SCREEN.line(f"{when}  {reason['kind']:<22} {reason['decision']:<10} {where}{reason['why']}{by}")
        for route, refused in reason["steps"]:
            if refused:
                SCREEN.line(f"{'':21}not by {route}: {refused}")
    for waits in told["gathered"]:
        SCREEN.line(f"waits for {waits['due_at']:%Y-%m-%d %H:%M} UTC  {waits['channel']} ({waits['how']})")
    for message in told["messages"]:
        problem = f": {message['last_error']}" if message["last_error"] else ""
        SCREEN.line(f"message in {message['channel']}: {message['state']}{problem}")
