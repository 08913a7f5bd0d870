"""What a person said in Slack, read from the signed bytes and from nothing else. Pure."""

import re
from datetime import timedelta
from urllib.parse import parse_qs

import msgspec

from approvals_svc.decision import Verb
from approvals_svc.plain import REASON_MAX_CHARACTERS, plain
from shared.contracts.commands import Command, Invocation, owned_by
from shared.contracts.services import APPROVALS_SVC

FORM_FIELDS_MAX = 64
ID_MAX_CHARACTERS = 64
WORDS_MAX_CHARACTERS = 500
TRIGGER_MAX_CHARACTERS = 200
BUTTON = re.compile(r"(approve|decline):([1-9][0-9]{0,17}):([1-9][0-9]{0,8})")
# What notifier's form for a reason carries (its private metadata): the button's value, and where the card stands.
FORM = re.compile(r"decline:([1-9][0-9]{0,17}):([1-9][0-9]{0,8}):([A-Z0-9]{1,32})")
FORM_CALLBACK = "decline"
FORM_FIELD = "reason"
FIELD_NAME = re.compile(r"[a-z_]+")
NUMBER = re.compile(r"#?([1-9][0-9]{0,17})")
UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
VERBS: dict[str, Verb] = {"approve": "approve", "decline": "reject"}


class Unreadable(ValueError):
    """Signed, but not what Slack sends."""


class Voter(msgspec.Struct, frozen=True, kw_only=True):
    """Whose request it is, where it was made, and the trigger that makes it one of a kind."""

    team: str
    user: str
    channel: str
    trigger_id: str
    is_foreign: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A vote asked for; `revision` None: typed, so whichever is current."""

    voter: Voter
    approval_id: int
    verb: Verb
    revision: int | None = None
    reason: str = ""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """`approvals`: what waits for a decision?"""

    voter: Voter


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """What waits, or with `words` what there is about them, for everybody in `channel`; empty: the default one."""

    voter: Voter
    channel: str
    words: str = ""


class Away(msgspec.Struct, frozen=True, kw_only=True):
    """`delegate`: somebody is to vote for who says so. `delegate` is `@` and a Slack account, or a catalog's name."""

    voter: Voter
    delegate: str
    lasts: timedelta


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """`link`: who they say they are; `login` is their name in Slack."""

    voter: Voter
    name: str
    login: str


class Misspelt(msgspec.Struct, frozen=True, kw_only=True):
    """A command of ours with words that it can't take."""

    voter: Voter
    usage: str


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """`ask`: what is there about this?"""

    voter: Voter
    words: str


Said = Answer | Question | Search | Post | Away | Claim | Misspelt


class _User(msgspec.Struct):
    id: str
    team_id: str = ""


class _Id(msgspec.Struct):
    id: str


class _Action(msgspec.Struct):
    action_id: str
    value: str = ""


class _Field(msgspec.Struct):
    value: str | None = None


class _Values(msgspec.Struct):
    values: dict[str, dict[str, _Field]] = {}


class _View(msgspec.Struct):
    id: str
    hash: str
    callback_id: str = ""
    private_metadata: str = ""
    state: _Values = msgspec.field(default_factory=_Values)


class _Payload(msgspec.Struct):
    type: str
    user: _User | None = None
    team: _Id | None = None
    channel: _Id | None = None
    trigger_id: str = ""
    actions: list[_Action] = []
    view: _View | None = None


def read_click(body: bytes) -> Said | None:
    """A button or the form for a reason; None for what is neither of ours. Raises Unreadable."""
    form = _form(body)
    if set(form) != {"payload"}:
        raise Unreadable("an interaction has one field, payload")
    try:
        payload = msgspec.json.decode(_field(form, "payload"), type=_Payload)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unreadable(str(error)) from None
    if payload.type == "block_actions" and payload.actions and payload.actions[0].action_id in VERBS:
        return _pressed(payload, payload.actions[0])
    if payload.type == "view_submission" and payload.view and payload.view.callback_id == FORM_CALLBACK:
        return _submitted(payload, payload.view)
    return None


def read_command(body: bytes) -> Said | None:
    """None for what another service answers. Raises Unreadable."""
    form = _form(body)
    if not _field(form, "command").startswith("/"):
        raise Unreadable("a command says which it is")
    invocation = owned_by(APPROVALS_SVC.name, _field(form, "text"))
    if invocation is None or invocation.command is None:
        return None
    voter = _voter(
        team=_field(form, "team_id", required=False),
        user=_field(form, "user_id"),
        channel=_field(form, "channel_id"),
        trigger_id=_field(form, "trigger_id"),
    )
    login = plain(_field(form, "user_name", required=False), characters_max=ID_MAX_CHARACTERS)
    return _typed(voter, invocation.command, invocation, login)


def _typed(voter: Voter, command: Command, invocation: Invocation, login: str) -> Said:
    given, words = invocation.given, plain(" ".join(invocation.arguments), characters_max=WORDS_MAX_CHARACTERS)
    match command.name:
        case "approvals":
            return Question(voter=voter)
        case "ask" if words:
            return Search(voter=voter, words=words)
        case "approvals post" | "ask post" if not invocation.problem:
            about = plain(given.get("words", ""), characters_max=WORDS_MAX_CHARACTERS)
            return Post(voter=voter, channel=given.get("#channel", ""), words=about)
        case "link" if words:
            return Claim(voter=voter, name=words, login=login)
        case "delegate" if not invocation.problem:
            return Away(voter=voter, delegate=given["@user"], lasts=_span(given["duration"]))
        case "approve" | "decline" if invocation.arguments and (number := NUMBER.fullmatch(invocation.arguments[0])):
            reason = plain(" ".join(invocation.arguments[1:]), characters_max=REASON_MAX_CHARACTERS)
            return Answer(voter=voter, approval_id=int(number[1]), verb=VERBS[command.name], reason=reason)
    return Misspelt(voter=voter, usage=f"{command.name} {command.arguments}")


def _span(duration: str) -> timedelta:
    return int(duration[:-1]) * UNITS[duration[-1]]


def _pressed(payload: _Payload, action: _Action) -> Answer:
    found = BUTTON.fullmatch(action.value)
    if not found or found[1] != action.action_id or payload.user is None or payload.channel is None:
        raise Unreadable("a button of ours without a number, a user or a channel")
    voter = _person(payload, payload.user, channel=payload.channel.id, trigger_id=payload.trigger_id)
    return Answer(voter=voter, approval_id=int(found[2]), verb=VERBS[found[1]], revision=int(found[3]))


def _submitted(payload: _Payload, view: _View) -> Answer:
    """The view with its hash is what makes a form one of a kind: it is the same when it is sent again."""
    found = FORM.fullmatch(view.private_metadata)
    if not found or payload.user is None:
        raise Unreadable("a form of ours without a number or a user")
    written = next((fields[FORM_FIELD].value for fields in view.state.values.values() if FORM_FIELD in fields), None)
    voter = _person(payload, payload.user, channel=found[3], trigger_id=f"view:{view.id}:{view.hash}")
    return Answer(
        voter=voter,
        approval_id=int(found[1]),
        verb="reject",
        revision=int(found[2]),
        reason=plain(written or "", characters_max=REASON_MAX_CHARACTERS),
    )


def _person(payload: _Payload, user: _User, *, channel: str, trigger_id: str) -> Voter:
    team = payload.team.id if payload.team else ""
    is_foreign = bool(team and user.team_id and user.team_id != team)
    return _voter(team=team, user=user.id, channel=channel, trigger_id=trigger_id, is_foreign=is_foreign)


def _form(body: bytes) -> dict[str, list[str]]:
    """Slack signs events with the same secret: their JSON, where people write what they like, is no form of Slack's."""
    try:
        form = parse_qs(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FORM_FIELDS_MAX)
    except ValueError as error:
        raise Unreadable(str(error)) from None
    if not all(FIELD_NAME.fullmatch(name) for name in form):
        raise Unreadable("not a form of Slack's")
    return form


def _field(form: dict[str, list[str]], name: str, *, required: bool = True) -> str:
    """A field that comes twice is refused: none of the two is picked."""
    values = form.get(name, [])
    if len(values) > 1 or (required and not values):
        raise Unreadable(f"the field {name} comes {len(values)} times")
    return values[0] if values else ""


def _voter(*, team: str, user: str, channel: str, trigger_id: str, is_foreign: bool = False) -> Voter:
    """A trigger identifies the click, so it is never shortened."""
    if not trigger_id or len(trigger_id) > TRIGGER_MAX_CHARACTERS or not trigger_id.isprintable():
        raise Unreadable("no usable trigger id")
    return Voter(
        team=plain(team, characters_max=ID_MAX_CHARACTERS),
        user=plain(user, characters_max=ID_MAX_CHARACTERS),
        channel=plain(channel, characters_max=ID_MAX_CHARACTERS),
        trigger_id=trigger_id,
        is_foreign=is_foreign,
    )
