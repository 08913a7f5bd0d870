"""The commands of `/em`, one table. The owner answers with a reply on `em.notify`; notifier renders and sends it."""

import difflib

import msgspec

from shared.contracts.services import APPROVALS_SVC, METRICS_SVC, NOTIFIER


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """`arguments` is shown in the help; `role` is what a person needs to use it. `also`: other words for it."""

    name: str
    also: tuple[str, ...] = ()
    arguments: str = ""
    owner: str
    role: str
    help: str


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """What a person typed: the command, or None with the nearest name; and the words after it."""

    command: Command | None
    arguments: tuple[str, ...] = ()
    nearest: str = ""


COMMANDS = (
    Command(name="help", owner=NOTIFIER.name, role="viewer", help="List the commands"),
    Command(
        name="approvals",
        owner=APPROVALS_SVC.name,
        role="viewer",
        help="What waits for a decision: number, service, votes, deadline",
    ),
    Command(
        name="ask",
        arguments="<words>",
        owner=APPROVALS_SVC.name,
        role="viewer",
        help="What past decisions, changes and incidents there are about something",
    ),
    Command(
        name="approve",
        arguments="<number> [reason]",
        owner=APPROVALS_SVC.name,
        role="approver",
        help="Vote for an approval",
    ),
    Command(
        name="decline",
        also=("reject",),
        arguments="<number> [reason]",
        owner=APPROVALS_SVC.name,
        role="approver",
        help="Vote against an approval",
    ),
    Command(
        name="dora",
        arguments="[service] [days]",
        owner=METRICS_SVC.name,
        role="viewer",
        help="The five delivery metrics, for the last 30 days unless said otherwise",
    ),
)
_BY_NAME = {word: command for command in COMMANDS for word in (command.name, *command.also)}


def parse(text: str) -> Invocation:
    """Keywords in any case; empty text asks for help."""
    words = text.split()
    if not words:
        return Invocation(command=_BY_NAME["help"])
    name = words[0].lower()
    command = _BY_NAME.get(name)
    if command is None:
        near = difflib.get_close_matches(name, _BY_NAME, n=1)
        return Invocation(command=None, nearest=near[0] if near else "")
    return Invocation(command=command, arguments=tuple(words[1:]))


def owned_by(service: str, text: str) -> Invocation | None:
    """The invocation if this service answers it. What nobody owns is notifier's, who suggests the nearest."""
    invocation = parse(text)
    owner = invocation.command.owner if invocation.command else NOTIFIER.name
    return invocation if owner == service else None
