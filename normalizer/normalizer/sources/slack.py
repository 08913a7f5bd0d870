"""Slack: what people say to us by mention, command, click and form; all else that is said there is not kept."""

from datetime import datetime
from typing import TypedDict

import msgspec

from normalizer import incidents
from normalizer.bodies import form, is_json, moment, needed_moment, read
from normalizer.disposition import Disposition, Events, Ignored, Untranslatable
from normalizer.times import InvalidTime, Spelling, instant
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import ChatAction, ChatCommand, ChatMention, SignedRequest
from shared.contracts.vocabulary import IgnoredReason

ACTIONS = frozenset({"block_actions", "view_submission", "view_closed", "shortcut", "message_action"})
IGNORED: dict[str, IgnoredReason] = {
    "url_verification": "handshake",
    "block_suggestion": "no_fact",
    "app_rate_limited": "no_fact",
}


class _Typed(msgspec.Struct):
    """The outer type, and of an event the marks of a bot's own message."""

    type: str = ""
    subtype: str | None = None
    bot_id: str | None = None


class _Outer(msgspec.Struct):
    type: str = ""
    event: _Typed | None = None


class _Identified(msgspec.Struct):
    id: str


class _User(msgspec.Struct):
    id: str
    team_id: str | None = None


class _Mention(msgspec.Struct):
    user: str | _User
    channel: str
    ts: str
    text: str | None = None
    thread_ts: str | None = None


class _MentionBody(msgspec.Struct):
    event: _Mention
    team_id: str | None = None
    enterprise_id: str | None = None
    event_time: Spelling = None


class _Option(msgspec.Struct):
    value: str | None = None


class _Action(msgspec.Struct):
    action_id: str
    value: str | None = None
    selected_option: _Option | None = None
    action_ts: Spelling = None


class _View(msgspec.Struct):
    callback_id: str
    private_metadata: str | None = None


class _Container(msgspec.Struct):
    message_ts: str | None = None
    channel_id: str | None = None


class _Message(msgspec.Struct):
    ts: str | None = None


class _Interaction(msgspec.Struct):
    """`team` is null where an app is installed for a whole organisation."""

    type: str
    user: _User
    team: _Identified | None = None
    enterprise: _Identified | None = None
    channel: _Identified | None = None
    container: _Container | None = None
    message: _Message | None = None
    actions: list[_Action] | None = None
    view: _View | None = None
    callback_id: str | None = None
    trigger_id: str | None = None
    action_ts: Spelling = None


class _When(TypedDict):
    occurred_at: datetime
    time_is_received: bool


def translate(delivery: RawDelivery) -> Disposition:
    """Events come as JSON, commands and interactions as forms. Raises Untranslatable."""
    if is_json(delivery.body):
        return _event(delivery.body)
    fields = form(delivery.body)
    if "payload" in fields:
        return _interaction(delivery, fields["payload"].encode())
    if "command" in fields:
        command = _command(delivery, fields)
        return Events((command, *incidents.told(command, delivery)))
    if fields.get("ssl_check") == "1":
        return _unkept("handshake")
    raise Untranslatable("body is neither an event, a command nor an interaction")


def _event(body: bytes) -> Disposition:
    outer = read(body, _Outer)
    if outer.type != "event_callback":
        return _unkept(IGNORED.get(outer.type, "unknown_event"))
    if outer.event is None:
        raise Untranslatable("event is missing")
    if outer.event.bot_id or outer.event.subtype == "bot_message":
        return _unkept("own_bot")
    if outer.event.type == "app_mention":
        return Events((_mention(read(body, _MentionBody)),))
    return _unkept("no_fact")


def _mention(body: _MentionBody) -> ChatMention:
    event = body.event
    return ChatMention(
        occurred_at=needed_moment("event_time", body.event_time, event.ts),
        team=body.team_id or body.enterprise_id or "",
        user=event.user if isinstance(event.user, str) else event.user.id,
        channel=event.channel,
        text=event.text or "",
        message_ts=event.ts,
        thread_ts=event.thread_ts or "",
    )


def _command(delivery: RawDelivery, fields: dict[str, str]) -> ChatCommand:
    for name in ("command", "user_id", "channel_id"):
        if not fields.get(name):
            raise Untranslatable(f"{name} is missing")
    return ChatCommand(
        **_when(delivery, None),
        team=fields.get("team_id") or fields.get("enterprise_id", ""),
        user=fields["user_id"],
        channel=fields["channel_id"],
        command=fields["command"],
        text=fields.get("text", ""),
        trigger_id=fields.get("trigger_id", ""),
        signed=_signed(delivery),
    )


def _interaction(delivery: RawDelivery, json: bytes) -> Disposition:
    outer = read(json, _Outer)
    if outer.type in ACTIONS:
        return Events((_action(delivery, read(json, _Interaction)),))
    return _unkept(IGNORED.get(outer.type, "unknown_event"))


def _action(delivery: RawDelivery, interaction: _Interaction) -> ChatAction:
    action = interaction.actions[0] if interaction.actions else None
    container = interaction.container or _Container()
    callback, value = _carried(interaction, action)
    return ChatAction(
        **_when(delivery, (action and action.action_ts) or interaction.action_ts),
        team=_team(interaction),
        user=interaction.user.id,
        channel=interaction.channel.id if interaction.channel else container.channel_id or "",
        callback=callback,
        value=value,
        trigger_id=interaction.trigger_id or "",
        message_ts=container.message_ts or (interaction.message and interaction.message.ts) or "",
        signed=_signed(delivery),
    )


def _carried(interaction: _Interaction, action: _Action | None) -> tuple[str, str]:
    """(callback, value): of the button or menu, of the view, or of the shortcut."""
    match interaction.type:
        case "block_actions":
            if action is None:
                raise Untranslatable("actions is empty")
            return action.action_id, action.value or (action.selected_option and action.selected_option.value) or ""
        case "view_submission" | "view_closed":
            if interaction.view is None:
                raise Untranslatable("view is missing")
            return interaction.view.callback_id, interaction.view.private_metadata or ""
        case _:
            if not interaction.callback_id:
                raise Untranslatable("callback_id is missing")
            return interaction.callback_id, ""


def _team(interaction: _Interaction) -> str:
    of_organisation = interaction.enterprise.id if interaction.enterprise else ""
    return (interaction.team.id if interaction.team else interaction.user.team_id) or of_organisation


def _when(delivery: RawDelivery, action_ts: Spelling) -> _When:
    """Commands and forms tell no time of their own: it is when Slack signed them, else when they came."""
    if (told := moment("action_ts", action_ts) or _signed_at(delivery)) is not None:
        return {"occurred_at": told, "time_is_received": False}
    return {"occurred_at": delivery.received_at, "time_is_received": True}


def _signed_at(delivery: RawDelivery) -> datetime | None:
    try:
        return instant(delivery.timestamp)
    except InvalidTime:
        return None


def _signed(delivery: RawDelivery) -> SignedRequest:
    return SignedRequest(body=delivery.body, timestamp=delivery.timestamp, signature=delivery.signature)


def _unkept(reason: IgnoredReason) -> Ignored:
    return Ignored(reason, keeps_body=False)
