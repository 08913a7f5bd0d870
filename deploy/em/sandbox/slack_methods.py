"""The methods of Slack's Web API, each a function of workspace and arguments."""

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from em.sandbox import blocks as block_kit
from em.sandbox.workspace import (
    APP_ID,
    BOT_ID,
    BOT_USER,
    TEAM_ID,
    Channel,
    Edit,
    Message,
    Refusal,
    User,
    Workspace,
)

TEXT_CHARS_MAX = 40_000
# A longer text without blocks becomes several messages, which look like duplicates (bolt-python issue 764).
TEXT_SPLIT_CHARS = 4_000
ATTACHMENTS_MAX = 100
# Slack documents the error metadata_too_large, not the size: unverified.
METADATA_CHARS_MAX = 16_000
PAGE_MAX = 999
TS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)

Arguments = dict[str, Any]
Answer = dict[str, Any]
Item = TypeVar("Item")


def auth_test(workspace: Workspace, arguments: Arguments) -> Answer:
    return {
        "url": "https://em-sandbox.slack.com/",
        "team": "EM Sandbox",
        "user": "em-agent",
        "team_id": TEAM_ID,
        "user_id": BOT_USER,
        "bot_id": BOT_ID,
        "is_enterprise_install": False,
    }


def post_message(workspace: Workspace, arguments: Arguments) -> Answer:
    channel = workspace.destination(_required(arguments, "channel"))
    workspace.admit_post(channel)
    draft = _content(arguments)
    thread_ts = _thread_root(channel, arguments.get("thread_ts"))
    pieces = [draft.text] if draft.blocks or not draft.text else _split(draft.text)
    posted = []
    for piece in pieces:
        message = msgspec.structs.replace(draft, ts=workspace.next_ts(), text=piece, thread_ts=thread_ts)
        message.broadcast = _flag(arguments, "reply_broadcast")
        channel.messages[message.ts] = message
        posted.append(message)
    return {"channel": channel.id, "ts": posted[0].ts, "message": _shown(posted[0], channel)}


def update(workspace: Workspace, arguments: Arguments) -> Answer:
    """Text without blocks removes the old blocks; left out metadata stays."""
    channel = workspace.channel(_required(arguments, "channel"))
    message = channel.messages.get(_required(arguments, "ts"))
    if channel.archived:
        raise Refusal("is_inactive")
    if message is None:
        raise Refusal("message_not_found")
    if message.user != BOT_USER:
        raise Refusal("cant_update_message")
    workspace.admit_update()
    draft = _content(arguments)
    message.edits.append(Edit(edited_ts=workspace.next_ts(), text=message.text, blocks=message.blocks))
    message.text, message.blocks, message.attachments = draft.text, draft.blocks, draft.attachments
    message.metadata = draft.metadata or message.metadata
    return {
        "channel": channel.id,
        "ts": message.ts,
        "text": message.text,
        "message": _shown(message, channel),
    }


def post_ephemeral(workspace: Workspace, arguments: Arguments) -> Answer:
    channel = workspace.destination(_required(arguments, "channel"))
    user = workspace.user(_required(arguments, "user"), error="user_not_in_channel")
    if user.id not in channel.members and not workspace.settings.auto_create:
        raise Refusal("user_not_in_channel")
    message = _content(arguments)
    message.ts, message.ephemeral_for = workspace.next_ts(), user.id
    channel.ephemerals.append(message)
    return {"message_ts": message.ts}


def history(workspace: Workspace, arguments: Arguments) -> Answer:
    channel = _readable(workspace, arguments)
    top = [m for m in channel.messages.values() if m.thread_ts is None or m.broadcast]
    inside = [m for m in reversed(top) if _in_window(m, arguments)]
    return _page_of_messages(inside, channel, arguments)


def replies(workspace: Workspace, arguments: Arguments) -> Answer:
    channel = _readable(workspace, arguments)
    asked = channel.messages.get(_required(arguments, "ts"))
    if asked is None:
        raise Refusal("thread_not_found")
    root = asked.thread_ts or asked.ts
    answers = [m for m in channel.messages.values() if m.thread_ts == root and _in_window(m, arguments)]
    return _page_of_messages([channel.messages[root], *answers], channel, arguments)


def list_channels(workspace: Workspace, arguments: Arguments) -> Answer:
    hide_archived = _flag(arguments, "exclude_archived")
    shown = [c for c in workspace.channels.values() if not (hide_archived and c.archived)]
    page, cursor = _page(shown, [channel.id for channel in shown], arguments)
    return {"channels": [_described(c) for c in page], "response_metadata": {"next_cursor": cursor}}


def channel_details(workspace: Workspace, arguments: Arguments) -> Answer:
    return {"channel": _described(workspace.channel(_required(arguments, "channel")))}


def lookup_by_email(workspace: Workspace, arguments: Arguments) -> Answer:
    email = str(_required(arguments, "email")).casefold()
    for user in workspace.users.values():
        if user.email is not None and user.email.casefold() == email and not user.deleted:
            return {"user": _profile(user)}
    raise Refusal("users_not_found")


def user_details(workspace: Workspace, arguments: Arguments) -> Answer:
    return {"user": _profile(workspace.user(_required(arguments, "user"), error="user_not_found"))}


def open_view(workspace: Workspace, arguments: Arguments) -> Answer:
    trigger_id, view = _required(arguments, "trigger_id"), _decoded(_required(arguments, "view"))
    workspace.spend_trigger(str(trigger_id))
    found = block_kit.view_violations(view)
    if found:
        raise Refusal("invalid_arguments", *found)
    return {"view": workspace.show(view)}


METHODS: dict[str, Callable[[Workspace, Arguments], Answer]] = {
    "auth.test": auth_test,
    "chat.postMessage": post_message,
    "chat.update": update,
    "chat.postEphemeral": post_ephemeral,
    "conversations.history": history,
    "conversations.replies": replies,
    "conversations.list": list_channels,
    "conversations.info": channel_details,
    "users.lookupByEmail": lookup_by_email,
    "users.info": user_details,
    "views.open": open_view,
}
STRUCTURED = frozenset({"blocks", "attachments", "metadata", "view"})
WRITING = frozenset({"chat.postMessage", "chat.update", "chat.postEphemeral"})


def metadata_id(arguments: Arguments) -> str | None:
    """The id the sender gave its message, by which a duplicate is known."""
    metadata = _decoded(arguments.get("metadata"))
    payload = metadata.get("event_payload") if isinstance(metadata, dict) else None
    found = payload.get("id") if isinstance(payload, dict) else None
    return None if found is None else str(found)


def _content(arguments: Arguments) -> Message:
    text, attachments = arguments.get("text") or "", _decoded(arguments.get("attachments")) or []
    blocks = _blocks(arguments.get("blocks"))
    if not text and not blocks and not attachments:
        raise Refusal("no_text")
    if len(text) > TEXT_CHARS_MAX:
        raise Refusal("msg_too_long")
    if not isinstance(attachments, list) or len(attachments) > ATTACHMENTS_MAX:
        raise Refusal("too_many_attachments")
    metadata = _metadata(arguments.get("metadata"))
    return Message(ts="", text=text, blocks=blocks, attachments=attachments, metadata=metadata)


def _blocks(given: Any) -> list[Any]:
    blocks = _decoded(given)
    if blocks is None or blocks == "":
        return []
    if isinstance(blocks, str):
        raise Refusal("invalid_blocks_format")
    found = block_kit.violations(blocks)
    if found:
        raise Refusal("invalid_blocks", *found)
    if block_kit.characters(blocks) > block_kit.ALL_BLOCKS_CHARS_MAX:
        raise Refusal("msg_blocks_too_long")
    return list(blocks)


def _metadata(given: Any) -> dict[str, Any] | None:
    metadata = _decoded(given)
    if metadata is None or metadata == "":
        return None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("event_payload"), dict):
        raise Refusal("invalid_metadata_format")
    if not isinstance(metadata.get("event_type"), str) or not metadata["event_type"]:
        raise Refusal("invalid_metadata_format")
    if len(msgspec.json.encode(metadata)) > METADATA_CHARS_MAX:
        raise Refusal("metadata_too_large")
    return metadata


def _decoded(given: Any) -> Any:
    """Forms carry structured arguments as JSON text; text that is no JSON stays text."""
    if not isinstance(given, str):
        return given
    try:
        return msgspec.json.decode(given)
    except msgspec.DecodeError:
        return given


def _split(text: str) -> list[str]:
    return [text[at : at + TEXT_SPLIT_CHARS] for at in range(0, len(text), TEXT_SPLIT_CHARS)]


def _thread_root(channel: Channel, thread_ts: Any) -> str | None:
    if not thread_ts:
        return None
    parent = channel.messages.get(thread_ts)
    if parent is None:
        raise Refusal("cannot_reply_to_message")
    return parent.thread_ts or parent.ts


def _readable(workspace: Workspace, arguments: Arguments) -> Channel:
    channel = workspace.channel(_required(arguments, "channel"))
    if BOT_USER not in channel.members:
        raise Refusal("not_in_channel")
    return channel


def _in_window(message: Message, arguments: Arguments) -> bool:
    """Slack's window is open on both sides unless `inclusive`."""
    at, edge_us = _micros(message.ts, "ts"), 1 if _flag(arguments, "inclusive") else 0
    oldest, latest = arguments.get("oldest"), arguments.get("latest")
    if oldest and at <= _micros(oldest, "oldest") - edge_us:
        return False
    return not (latest and at >= _micros(latest, "latest") + edge_us)


def _micros(ts: Any, name: str) -> int:
    if not TS.fullmatch(str(ts)):
        raise Refusal(f"invalid_ts_{name}")
    seconds, _, fraction = str(ts).partition(".")
    return int(seconds) * 1_000_000 + int(fraction.ljust(6, "0"))


def _page_of_messages(messages: Sequence[Message], channel: Channel, arguments: Arguments) -> Answer:
    page, cursor = _page(messages, [m.ts for m in messages], arguments)
    with_metadata = _flag(arguments, "include_all_metadata")
    answer: Answer = {
        "messages": [_shown(m, channel, with_metadata=with_metadata) for m in page],
        "has_more": bool(cursor),
    }
    return answer | ({"response_metadata": {"next_cursor": cursor}} if cursor else {})


def _page(items: Sequence[Item], keys: list[str], arguments: Arguments) -> tuple[Sequence[Item], str]:
    """One page and the cursor of the next, empty at the end."""
    limit = str(arguments.get("limit") or 100)
    if not limit.isdigit() or not 1 <= int(limit) <= PAGE_MAX:
        raise Refusal("invalid_limit")
    start = _position(keys, arguments.get("cursor"))
    end = start + int(limit)
    cursor = base64.b64encode(f"next:{keys[end]}".encode()).decode() if end < len(keys) else ""
    return items[start:end], cursor


def _position(keys: list[str], cursor: Any) -> int:
    if not cursor:
        return 0
    try:
        return keys.index(base64.b64decode(cursor, validate=True).decode().removeprefix("next:"))
    except (ValueError, binascii.Error) as broken:
        raise Refusal("invalid_cursor") from broken


def _shown(message: Message, channel: Channel, *, with_metadata: bool = True) -> Answer:
    answers = [m.ts for m in channel.messages.values() if m.thread_ts == message.ts]
    shown: Answer = {
        "type": "message",
        "user": message.user,
        "ts": message.ts,
        "bot_id": BOT_ID,
        "app_id": APP_ID,
        "team": TEAM_ID,
        "text": message.text,
    }
    optional: Answer = {
        "blocks": message.blocks,
        "attachments": message.attachments,
        "metadata": message.metadata if with_metadata else None,
        "thread_ts": message.thread_ts or (message.ts if answers else None),
        "reply_count": len(answers),
        "latest_reply": answers[-1] if answers else None,
        "edited": {"user": BOT_USER, "ts": message.edits[-1].edited_ts} if message.edits else None,
    }
    return shown | {name: value for name, value in optional.items() if value}


def _described(channel: Channel) -> Answer:
    return {
        "id": channel.id,
        "name": channel.name,
        "is_channel": True,
        "is_private": False,
        "is_archived": channel.archived,
        "is_member": BOT_USER in channel.members,
        "created": channel.created,
        "num_members": len(channel.members),
    }


def _profile(user: User) -> Answer:
    return {
        "id": user.id,
        "team_id": TEAM_ID,
        "name": user.name,
        "real_name": user.real_name or user.name,
        "tz": user.tz,
        "deleted": user.deleted,
        "is_bot": user.is_bot,
        "profile": {"email": user.email, "real_name": user.real_name or user.name},
    }


def _required(arguments: Arguments, name: str) -> Any:
    if arguments.get(name) in (None, ""):
        raise Refusal("invalid_arguments", f"[ERROR] missing required field: {name}")
    return arguments[name]


def _flag(arguments: Arguments, name: str) -> bool:
    return str(arguments.get(name, "")).lower() in ("1", "true")
