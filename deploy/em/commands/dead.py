"""`em dead`: what consumers and the sender gave up, why, and having it tried again."""

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from em import operator
from em.errors import EmError
from em.screen import SCREEN

if TYPE_CHECKING:
    from em.ledger.letters import Letter, Wanted
    from notifier import dead_store

app = typer.Typer(help="Dead letters: what a consumer or the sender gave up, with the reason.", no_args_is_help=True)

BODY_MAX_CHARACTERS = 4000
NOTIFIER = "notifier"

ServiceOption = Annotated[str, typer.Option("--service", help="Only of this service, e.g. metrics-svc.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Only where the reason holds this text.")]
ChannelOption = Annotated[str, typer.Option("--channel", help="Only messages for this Slack channel.")]
SinceOption = Annotated[float | None, typer.Option("--since", help="Only of the last so many hours.")]
JsonOption = Annotated[bool, typer.Option("--json", help="For scripts.")]


@app.command("list")
def list_(
    service: ServiceOption = "",
    reason: ReasonOption = "",
    channel: ChannelOption = "",
    since: SinceOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, newest first: by number what a consumer gave up, by key what could not be posted."""
    letters = [] if channel else operator.run(lambda: _find(_wanted(service, reason, since), limit))
    messages = operator.run(lambda: _messages(service, _wanted_messages((), channel, reason, since), limit))
    if as_json:
        SCREEN.out.out(json.dumps([*map(_as_json, letters), *map(_message_as_json, messages)], indent=2))
    elif not letters and not messages:
        SCREEN.line("no dead letters")
    else:
        _show(letters, messages)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="NUMBER", help="Number or key, as `em dead list` names it.")],
    full: Annotated[bool, typer.Option("--full", help="The whole body.")] = False,
) -> None:
    """Show one dead letter: why, from where, headers and body; what looks like a secret is masked."""
    if not name.isdigit():
        _show_message(name, full=full)
        return
    letter = operator.run(lambda: _one(int(name)))
    for name, value in _as_json(letter).items():
        SCREEN.line(f"{name:<9} {value}")
    SCREEN.line()
    for name, value in letter.headers.items():
        SCREEN.line(f"{name}: {_masked(name, value)}")
    _show_body(letter.body, full=full)


@app.command()
def replay(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NUMBER]...", help="Numbers or keys, as `em dead list` names them.")
    ] = None,
    service: ServiceOption = "",
    reason: ReasonOption = "",
    channel: ChannelOption = "",
    since: SinceOption = None,
    everything: Annotated[bool, typer.Option("--all", help="All that the filters match.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which.")] = False,
) -> None:
    """Have dead letters tried again, by the one that gave them up. One that fails again comes back.

    A message keeps its delivery id: one that may have been posted is looked for first.
    """
    if bool(names) == everything:
        raise EmError("nothing chosen", hint="name numbers or keys of `em dead list`, or filters with --all")
    numbers = [int(name) for name in names or [] if name.isdigit()]
    keys = tuple(name for name in names or [] if not name.isdigit())
    count = 0
    if numbers or (everything and not channel):
        count += operator.run(lambda: _replay(numbers, _wanted(service, reason, since), dry_run=dry_run))
    if keys or everything:
        wanted = _wanted_messages(keys, channel, reason, since)
        count += operator.run(lambda: _revive(service, wanted, dry_run=dry_run))
    if dry_run:
        SCREEN.line(f"{count} would be tried again")
    else:
        SCREEN.line(f"{count} handed to who gave them up; look with: em dead list")


@app.command()
def resume(
    service: Annotated[str, typer.Argument(help="Only of this service.")] = "",
    subject: Annotated[str, typer.Argument(help="Only this subject.")] = "",
    everything: Annotated[bool, typer.Option("--all", help="Every paused subject.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Handle paused subjects again, and what waits because of them. Without arguments: list what is paused."""
    rows = operator.run(lambda: _resume(service.replace("-", "_"), subject, everything))
    done = bool(service or everything)
    if as_json:
        SCREEN.out.out(json.dumps(rows, indent=2))
        return
    for row in rows:
        what = "resumed" if done else f"paused since {row['since']}: {row['reason']}"
        SCREEN.line(f"{row['consumer']} {row['subject']}: {what}; {row['waiting']} wait")
    if not rows:
        SCREEN.line("nothing is paused" + (" there" if done else ""))


def _wanted(service: str, reason: str, since: float | None) -> "Wanted":
    from em.ledger.letters import Wanted

    moment = datetime.now(UTC) - timedelta(hours=since) if since is not None else None
    return Wanted(service=service, reason=reason, since=moment)


async def _find(wanted: "Wanted", limit: int | None) -> "list[Letter]":
    from em.ledger import letters

    found = []
    async with operator.open_bus() as bus:
        async for letter in letters.newest_first(bus, wanted):
            found.append(letter)
            if len(found) == limit:
                break
    return found


async def _one(number: int) -> "Letter":
    from em.ledger import letters

    async with operator.open_bus() as bus:
        letter = await letters.find(bus, number)
    if letter is None:
        raise EmError(f"there is no dead letter {number}", hint="list them with: em dead list")
    return letter


def _wanted_messages(keys: tuple[str, ...], channel: str, reason: str, since: float | None) -> "dead_store.Wanted":
    from notifier.dead_store import Wanted

    moment = datetime.now(UTC) - timedelta(hours=since) if since is not None else None
    return Wanted(keys=keys, channel=channel, reason=reason, since=moment)


async def _messages(service: str, wanted: "dead_store.Wanted", limit: int | None) -> list[dict[str, Any]]:
    from notifier import dead_store

    if service not in ("", NOTIFIER):
        return []
    async with operator.open_database(NOTIFIER) as tx:
        return await dead_store.find(tx, wanted, limit=limit)


async def _revive(service: str, wanted: "dead_store.Wanted", *, dry_run: bool) -> int:
    from notifier import dead_store

    if dry_run or service not in ("", NOTIFIER):
        keys = [message["key"] for message in await _messages(service, wanted, None)]
    else:
        async with operator.open_database(NOTIFIER) as tx:
            keys = list(await dead_store.revive(tx, wanted))
    if missing := set(wanted.keys) - set(keys):
        raise EmError(f"there is no dead message {sorted(missing)[0]}", hint="list them with: em dead list")
    for key in keys:
        SCREEN.line(f"{'would replay' if dry_run else 'replayed'} {key}")
    return len(keys)


def _show_message(key: str, *, full: bool) -> None:
    from notifier import dead_store

    async def look() -> tuple[list[dict[str, Any]], str | None]:
        async with operator.open_database(NOTIFIER) as tx:
            return await dead_store.find(tx, dead_store.Wanted(keys=(key,))), await dead_store.content(tx, key)

    found, content = operator.run(look)
    if not found:
        raise EmError(f"there is no dead message {key}", hint="list them with: em dead list")
    for name, value in _message_as_json(found[0]).items():
        SCREEN.line(f"{name:<9} {value}")
    _show_body((content or "").encode(), full=full)


def _message_as_json(message: dict[str, Any]) -> dict[str, object]:
    return {**message, "died_at": message["died_at"].isoformat(timespec="seconds"), "service": NOTIFIER}


async def _replay(numbers: list[int], wanted: "Wanted", *, dry_run: bool) -> int:
    from em.ledger import letters

    chosen = [await _one(number) for number in numbers] or await _find(wanted, None)
    if dry_run:
        for letter in chosen:
            SCREEN.line(f"would replay {letter.number}")
        return len(chosen)
    by_schema: dict[str, list[Letter]] = {}
    for letter in reversed(chosen):
        by_schema.setdefault(letters.schema_of(letter), []).append(letter)
    if unknown := by_schema.pop("", None):
        raise EmError(f"dead letter {unknown[0].number} is of a service unknown here: {unknown[0].service}")
    async with operator.open_bus() as bus:
        for schema, group in by_schema.items():
            async with operator.open_database(schema) as tx:
                await letters.replay(bus, tx, group, progress=lambda number: SCREEN.line(f"replayed {number}"))
    return len(chosen)


async def _resume(service: str, subject: str, everything: bool) -> list[dict[str, object]]:
    from shared.contracts.services import SERVICES

    found: list[dict[str, object]] = []
    for each in SERVICES:
        if each.schema and (not service or each.name == service):
            async with operator.open_database(each.schema) as tx:
                rows = await tx.fetch(
                    """
                    SELECT consumer, subject, reason, since::text,
                           (SELECT count(*) FROM waiting
                            WHERE waiting.consumer = paused.consumer AND waiting.subject = paused.subject) AS waiting
                    FROM paused WHERE $1 = '' OR subject = $1 ORDER BY consumer, subject
                    """,
                    subject,
                )
                found += [dict(row) for row in rows]
                if service or everything:
                    await tx.execute("DELETE FROM paused WHERE $1 = '' OR subject = $1", subject)
    return found


def _as_json(letter: "Letter") -> dict[str, object]:
    return {
        "number": letter.number,
        "died_at": letter.died_at.isoformat(timespec="seconds"),
        "service": letter.service,
        "subject": letter.subject,
        "sequence": letter.sequence,
        "tries": letter.tries,
        "reason": letter.reason,
    }


def _show(letters: "list[Letter]", messages: list[dict[str, Any]]) -> None:
    if letters:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("number", "died", "service", "subject", "tries", "reason"):
            table.add_column(column, overflow="fold")
        for letter in letters:
            died = f"{letter.died_at:%Y-%m-%d %H:%M:%S}"
            table.add_row(str(letter.number), died, letter.service, letter.subject, str(letter.tries), letter.reason)
        SCREEN.out.print(table)
    if messages:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in ("message", "died", "channel", "tries", "reason"):
            table.add_column(column, overflow="fold")
        for message in messages:
            died = f"{message['died_at']:%Y-%m-%d %H:%M:%S}"
            row = (message["key"], died, message["channel"], str(message["tries"]), message["reason"])
            table.add_row(*(escape(cell) for cell in row))
        SCREEN.out.print(table)


def _show_body(content: bytes, *, full: bool) -> None:
    body = _readable(content)
    SCREEN.line(
        "\n" + (body if full or len(body) <= BODY_MAX_CHARACTERS else f"{body[:BODY_MAX_CHARACTERS]}… (--full)")
    )


def _masked(name: str, value: str) -> str:
    from shared.telemetry.logs import MASK, SECRET_NAME, SECRET_SHAPE

    return MASK if SECRET_NAME.search(name) else SECRET_SHAPE.sub(MASK, value)


def _readable(body: bytes) -> str:
    try:
        text = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except ValueError:
        text = body.decode(errors="backslashreplace")
    return _masked("", "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text))
