"""The commands of `/em`, one table. The owner answers with a reply on `em.notify`; notifier renders and sends it."""

import difflib
from collections.abc import Mapping

import msgspec

from shared.contracts import arguments
from shared.contracts.arguments import Unfit
from shared.contracts.services import APPROVALS_SVC, METRICS_SVC, NORMALIZER, NOTIFIER

# What a person needs to be, which the owner of a command checks.
ROLES: Mapping[str, str] = {
    "viewer": "anybody in the workspace",
    "member": "somebody whom the catalog knows by their Slack account; anybody, where it knows nobody's",
    "approver": "who the policy asks",
}
# Of the earlier em-agent.
GONE: Mapping[str, str] = {
    "onboarding": "it told of no delivery",
    "okr": "it told of no delivery",
    "agent": "what it did is proposed and decided: `label`, `issue`, `reviewer`, see approvals",
}


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """`arguments` is shown in the help and read by it; `role` is one of ROLES. `also`: other words for it."""

    name: str
    also: tuple[str, ...] = ()
    arguments: str = ""
    owner: str
    role: str
    help: str

    @property
    def usage(self) -> str:
        """`/em standup post [#channel] [hours]`."""
        return f"/em {self.name} {self.arguments}".rstrip()


class Invocation(msgspec.Struct, frozen=True, kw_only=True):
    """What a person typed: the command, or None with the nearest name; and the words after it.

    `given`: the arguments by their names in the usage. `problem`: why they can't be, where they can't.
    """

    command: Command | None
    arguments: tuple[str, ...] = ()
    given: Mapping[str, str] = {}
    problem: str = ""
    nearest: str = ""


COMMANDS = (
    Command(
        name="help", arguments="[command]", owner=NOTIFIER.name, role="viewer", help="List the commands, or explain one"
    ),
    Command(
        name="approvals",
        owner=APPROVALS_SVC.name,
        role="viewer",
        help="What waits for a decision: number, service, votes, deadline",
    ),
    Command(
        name="approvals post",
        arguments="[#channel]",
        owner=APPROVALS_SVC.name,
        role="member",
        help="Post in a channel what waits for a decision",
    ),
    Command(
        name="ask",
        arguments="<words>",
        owner=APPROVALS_SVC.name,
        role="viewer",
        help="What past decisions, changes and incidents there are about something",
    ),
    Command(
        name="ask post",
        arguments="[#channel] <words>",
        owner=APPROVALS_SVC.name,
        role="member",
        help="Post in a channel what there is about something",
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
        name="link",
        arguments="<name>",
        owner=APPROVALS_SVC.name,
        role="viewer",
        help="Say who you are, where the catalog doesn't know your Slack account; somebody confirms it",
    ),
    Command(
        name="delegate",
        arguments="<@user> <duration>",
        owner=APPROVALS_SVC.name,
        role="member",
        help="Let somebody vote for you: for hours, days or weeks, 30 days at most",
    ),
    Command(
        name="digest now",
        owner=NOTIFIER.name,
        role="member",
        help="Tell now what waits for the digest of this channel and of your teams",
    ),
    Command(
        name="explain",
        arguments="<event>",
        owner=NOTIFIER.name,
        role="viewer",
        help="Why people were, or were not, told of an event or a thing",
    ),
    Command(
        name="whoami",
        owner=NOTIFIER.name,
        role="viewer",
        help="Which person of the catalog you are, your accounts, and what you want of us",
    ),
    Command(
        name="prefs",
        arguments="[setting]",
        owner=NOTIFIER.name,
        role="viewer",
        help="Whether you want `mentions` and `dms`: `prefs mentions off`",
    ),
    Command(
        name="incident start",
        arguments="<title>",
        owner=NORMALIZER.name,
        role="viewer",
        help="Open an incident; the answer tells its id",
    ),
    Command(
        name="incident note",
        arguments="<id> <text>",
        owner=NORMALIZER.name,
        role="viewer",
        help="Say what happens, in the incident's thread",
    ),
    Command(
        name="incident sev",
        arguments="<id> <severity>",
        owner=NORMALIZER.name,
        role="viewer",
        help="How bad it is: S0 critical, S1 high, S2 medium, S3 low",
    ),
    Command(name="incident close", arguments="<id>", owner=NORMALIZER.name, role="viewer", help="It is over"),
    Command(
        name="incident post",
        arguments="<id> [#channel]",
        owner=NOTIFIER.name,
        role="member",
        help="Show an incident and its last ten rows here, or in another channel",
    ),
    Command(
        name="dora",
        arguments="[service] [days]",
        owner=METRICS_SVC.name,
        role="viewer",
        help="The five delivery metrics, for the last 30 days unless said otherwise",
    ),
    Command(
        name="standup",
        arguments="[hours]",
        owner=METRICS_SVC.name,
        role="viewer",
        help="What waits, broke, was deployed and merged in the last 48 hours, of your teams",
    ),
    Command(
        name="standup post",
        arguments="[#channel] [hours]",
        owner=METRICS_SVC.name,
        role="member",
        help="The same for all, in your team's channel unless said otherwise",
    ),
    Command(
        name="triage",
        owner=METRICS_SVC.name,
        role="viewer",
        help="Changes of your teams that wait too long: for a first review, or for anybody's touch",
    ),
    Command(
        name="triage post",
        arguments="[#channel]",
        owner=METRICS_SVC.name,
        role="member",
        help="The same for all, in your team's channel unless said otherwise",
    ),
    Command(
        name="signals",
        arguments="[kind]",
        owner=METRICS_SVC.name,
        role="viewer",
        help="What needs attention now, by kind: stale_change, change_without_review, change_without_ticket, "
        "wip_limit_exceeded",
    ),
    Command(
        name="sprint",
        arguments="[days]",
        owner=METRICS_SVC.name,
        role="viewer",
        help="How the last 14 days of your teams went: throughput, lead time, failures, work in progress",
    ),
    Command(
        name="sprint post",
        arguments="[#channel] [days]",
        owner=METRICS_SVC.name,
        role="member",
        help="The same for all, in your team's channel unless said otherwise",
    ),
)
_BY_NAME = {word: command for command in COMMANDS for word in (command.name, *command.also)}
_WORDS_MAX = max(len(name.split()) for name in _BY_NAME)


def parse(text: str) -> Invocation:
    """Keywords in any case, the longest name that fits; empty text asks for help."""
    words = arguments.words(text)
    if not words:
        return Invocation(command=_BY_NAME["help"])
    for count in range(min(_WORDS_MAX, len(words)), 0, -1):
        command = _BY_NAME.get(_name(words[:count]))
        if command:
            return _invocation(command, text[words[count].begin :] if count < len(words) else "")
    return Invocation(command=None, nearest=_nearest(_name(words[:2]), _name(words[:1])))


def named(text: str) -> tuple[Command, ...]:
    """Commands of that name, and those whose names begin with it."""
    name = _name(arguments.words(text))
    exact = _BY_NAME.get(name)
    return tuple(each for each in COMMANDS if each is exact or each.name.startswith(f"{name} "))


def owned_by(service: str, text: str) -> Invocation | None:
    """The invocation if this service answers it. What nobody owns is notifier's, who suggests the nearest."""
    invocation = parse(text)
    owner = invocation.command.owner if invocation.command else NOTIFIER.name
    return invocation if owner == service else None


def _name(words: list[arguments.Word]) -> str:
    return " ".join(word.text.lower() for word in words)


def _invocation(command: Command, rest: str) -> Invocation:
    words = tuple(word.text for word in arguments.words(rest))
    try:
        given = arguments.read(command.arguments, rest)
    except Unfit as unfit:
        return Invocation(command=command, arguments=words, problem=f"{unfit}. Use `{command.usage}`")
    return Invocation(command=command, arguments=words, given=given)


def _nearest(*typed: str) -> str:
    return next((near for name in typed for near in difflib.get_close_matches(name, _BY_NAME, n=1)), "")
