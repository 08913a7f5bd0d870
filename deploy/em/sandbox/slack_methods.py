"""The methods of Slack's Web API, each a function of workspace and arguments."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from em.sandbox import blocks as block_kit
from em.sandbox import slack_people as people
from em.sandbox.slack_arguments import Answer, Arguments, decoded, flag, page, required
from em.sandbox.workspace import (
    APP_ID,
    BOT_ID,
    BOT_USER,
    TEAM_ID,
    Channel,
    Edit,
    Message,
    Refusal,
    Workspace,
)

TEXT_CHARS_MAX = 40_000
# A longer text without blocks becomes several messages, which look like duplicates (bolt-python issue 764).
TEXT_SPLIT_CHARS = 4_000
ATTACHMENTS_MAX = 100
# Slack documents the error metadata_too_large, not the size: unverified.
METADATA_CHARS_MAX = 16_000
EMOJI = re.compile(r"[a-z0-9_+-]{1,100}", re.ASCII)
TS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?", re.ASCII)


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
    channel = workspace.destination(required(arguments, "channel"))
    workspace.admit_post(channel)
    draft = content(arguments)
    thread_ts = _thread_root(channel, arguments.get("thread_ts"))
    pieces = [draft.text] if draft.blocks or not draft.text else _split(draft.text)
    posted = []
    for piece in pieces:
        message = msgspec.structs.replace(draft, ts=workspace.next_ts(), text=piece, thread_ts=thread_ts)
        message.broadcast = flag(arguments, "reply_broadcast")
        channel.messages[message.ts] = message
        posted.append(message)
    return {"channel": channel.id, "ts": posted[0].ts, "message": _shown(posted[0], channel)}


def update(workspace: Workspace, arguments: Arguments) -> Answer:
    """Text without blocks removes the old blocks; left out metadata stays."""
    channel = workspace.channel(required(arguments, "channel"))
    message = channel.messages.get(required(arguments, "ts"))
    if channel.archived:
        raise Refusal("is_inactive")
    if message is None:
        raise Refusal("message_not_found")
    if message.user != BOT_USER:
        raise Refusal("cant_update_message")
    workspace.admit_update()
    draft = content(arguments)
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
    channel = workspace.destination(required(arguments, "channel"))
    user = workspace.user(required(arguments, "user"), error="user_not_in_channel")
    if user.id not in channel.members and not workspace.settings.auto_create:
        raise Refusal("user_not_in_channel")
    message = content(arguments)
    message.ts, message.ephemeral_for = workspace.next_ts(), user.id
    channel.ephemerals.append(message)
    return {"message_ts": message.ts}


def permalink(workspace: Workspace, arguments: Arguments) -> Answer:
    channel = workspace.channel(required(arguments, "channel"))
    message_ts = str(required(arguments, "message_ts"))
    if message_ts not in channel.messages:
        raise Refusal("message_not_found")
    place = f"archives/{channel.id}/p{message_ts.replace('.', '')}"
    return {"channel": channel.id, "permalink": f"https://em-sandbox.slack.com/{place}"}


def history(workspace: Workspace, arguments: Arguments) -> Answer:
    channel = _readable(workspace, arguments)
    top = [m for m in channel.messages.values() if m.thread_ts is None or m.broadcast]
    inside = [m for m in reversed(top) if _in_window(m, arguments)]
    return _page_of_messages(inside, channel, arguments)


def replies(workspace: Workspace, arguments: Arguments) -> Answer:
    channel = _readable(workspace, arguments)
    asked = channel.messages.get(required(arguments, "ts"))
    if asked is None:
        raise Refusal("thread_not_found")
    root = asked.thread_ts or asked.ts
    answers = [m for m in channel.messages.values() if m.thread_ts == root and _in_window(m, arguments)]
    return _page_of_messages([channel.messages[root], *answers], channel, arguments)


def list_channels(workspace: Workspace, arguments: Arguments) -> Answer:
    hide_archived = flag(arguments, "exclude_archived")
    kinds = str(arguments.get("types") or "public_channel").split(",")
    asked = [c for c in workspace.channels.values() if ("im" if c.user else "public_channel") in kinds]
    listed = [c for c in asked if not (hide_archived and c.archived)]
    shown, cursor = page(listed, [channel.id for channel in listed], arguments)
    return {"channels": [_described(c) for c in shown], "response_metadata": {"next_cursor": cursor}}


def channel_details(workspace: Workspace, arguments: Arguments) -> Answer:
    return {"channel": _described(workspace.channel(required(arguments, "channel")))}


def open_view(workspace: Workspace, arguments: Arguments) -> Answer:
    trigger_id, view = required(arguments, "trigger_id"), decoded(required(arguments, "view"))
    workspace.spend_trigger(str(trigger_id))
    found = block_kit.view_violations(view)
    if found:
        raise Refusal("invalid_arguments", *found)
    return {"view": workspace.show(view)}


def update_view(workspace: Workspace, arguments: Arguments) -> Answer:
    """Of a modal that is open; `hash` guards against a race with another update."""
    view = decoded(required(arguments, "view"))
    shown = next((each for each in workspace.views if each["id"] == arguments.get("view_id")), None)
    if shown is None:
        raise Refusal("not_found")
    if arguments.get("hash") and arguments["hash"] != shown["hash"]:
        raise Refusal("hash_conflict")
    found = block_kit.view_violations(view)
    if found:
        raise Refusal("invalid_arguments", *found)
    return {"view": workspace.show_instead(shown, view)}


def delete(workspace: Workspace, arguments: Arguments) -> Answer:
    channel, message = _message(workspace, arguments, "ts")
    if message.user != BOT_USER:
        raise Refusal("cant_delete_message")
    del channel.messages[message.ts]
    return {"channel": channel.id, "ts": message.ts}


def add_reaction(workspace: Workspace, arguments: Arguments) -> Answer:
    reactions = _message(workspace, arguments, "timestamp")[1].reactions
    name = _emoji(arguments)
    if name in reactions:
        raise Refusal("already_reacted")
    reactions.append(name)
    return {}


def remove_reaction(workspace: Workspace, arguments: Arguments) -> Answer:
    reactions = _message(workspace, arguments, "timestamp")[1].reactions
    name = _emoji(arguments)
    if name not in reactions:
        raise Refusal("no_reaction")
    reactions.remove(name)
    return {}


METHODS: dict[str, Callable[[Workspace, Arguments], Answer]] = {
    "auth.test": auth_test,
    "chat.postMessage": post_message,
    "chat.update": update,
    "chat.delete": delete,
    "chat.postEphemeral": post_ephemeral,
    "chat.getPermalink": permalink,
    "conversations.history": history,
    "conversations.replies": replies,
    "conversations.list": list_channels,
    "conversations.info": channel_details,
    "conversations.open": people.open_conversation,
    "reactions.add": add_reaction,
    "reactions.remove": remove_reaction,
    "users.lookupByEmail": people.look_up_by_email,
    "users.info": people.user_details,
    "usergroups.list": people.list_groups,
    "usergroups.users.list": people.list_members,
    "views.open": open_view,
    "views.update": update_view,
}
# The right that a token needs for each (https://docs.slack.dev/reference/methods); one of them is enough.
SCOPES: dict[str, tuple[str, ...]] = {
    "chat.postMessage": ("chat:write",),
    "chat.update": ("chat:write",),
    "chat.delete": ("chat:write",),
    "chat.postEphemeral": ("chat:write",),
    "conversations.history": ("channels:history", "groups:history", "im:history"),
    "conversations.replies": ("channels:history", "groups:history", "im:history"),
    "conversations.list": ("channels:read", "groups:read", "im:read"),
    "conversations.info": ("channels:read", "groups:read", "im:read"),
    "conversations.open": ("im:write",),
    "reactions.add": ("reactions:write",),
    "reactions.remove": ("reactions:write",),
    "users.lookupByEmail": ("users:read.email",),
    "users.info": ("users:read",),
    "usergroups.list": ("usergroups:read",),
    "usergroups.users.list": ("usergroups:read",),
}
STRUCTURED = frozenset({"blocks", "attachments", "metadata", "view"})
WRITING = frozenset({"chat.postMessage", "chat.update", "chat.postEphemeral", "reactions.add", "reactions.remove"})


def metadata_id(arguments: Arguments) -> str | None:
    """The id the sender gave its message, by which a duplicate is known."""
    metadata = decoded(arguments.get("metadata"))
    payload = metadata.get("event_payload") if isinstance(metadata, dict) else None
    found = payload.get("id") if isinstance(payload, dict) else None
    return None if found is None else str(found)


def content(arguments: Arguments) -> Message:
    text, attachments = arguments.get("text") or "", decoded(arguments.get("attachments")) or []
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
    blocks = decoded(given)
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
    metadata = decoded(given)
    if metadata is None or metadata == "":
        return None
    if not isinstance(metadata, dict) or not isinstance(metadata.get("event_payload"), dict):
        raise Refusal("invalid_metadata_format")
    if not isinstance(metadata.get("event_type"), str) or not metadata["event_type"]:
        raise Refusal("invalid_metadata_format")
    if len(msgspec.json.encode(metadata)) > METADATA_CHARS_MAX:
        raise Refusal("metadata_too_large")
    return metadata


def _split(text: str) -> list[str]:
    return [text[at : at + TEXT_SPLIT_CHARS] for at in range(0, len(text), TEXT_SPLIT_CHARS)]


def _message(workspace: Workspace, arguments: Arguments, ts: str) -> tuple[Channel, Message]:
    channel = workspace.channel(required(arguments, "channel"))
    message = channel.messages.get(str(required(arguments, ts)))
    if message is None:
        raise Refusal("message_not_found")
    return channel, message


def _emoji(arguments: Arguments) -> str:
    name = str(required(arguments, "name")).strip(":")
    if not EMOJI.fullmatch(name):
        raise Refusal("invalid_name")
    return name


def _thread_root(channel: Channel, thread_ts: Any) -> str | None:
    if not thread_ts:
        return None
    parent = channel.messages.get(thread_ts)
    if parent is None:
        raise Refusal("cannot_reply_to_message")
    return parent.thread_ts or parent.ts


def _readable(workspace: Workspace, arguments: Arguments) -> Channel:
    channel = workspace.channel(required(arguments, "channel"))
    if BOT_USER not in channel.members:
        raise Refusal("not_in_channel")
    return channel


def _in_window(message: Message, arguments: Arguments) -> bool:
    """Slack's window is open on both sides unless `inclusive`."""
    at, edge_us = _micros(message.ts, "ts"), 1 if flag(arguments, "inclusive") else 0
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
    shown, cursor = page(messages, [m.ts for m in messages], arguments)
    with_metadata = flag(arguments, "include_all_metadata")
    answer: Answer = {
        "messages": [_shown(m, channel, with_metadata=with_metadata) for m in shown],
        "has_more": bool(cursor),
    }
    return answer | ({"response_metadata": {"next_cursor": cursor}} if cursor else {})


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
        "reactions": [{"name": name, "users": [BOT_USER], "count": 1} for name in message.reactions],
        "edited": {"user": BOT_USER, "ts": message.edits[-1].edited_ts} if message.edits else None,
    }
    return shown | {name: value for name, value in optional.items() if value}


def _described(channel: Channel) -> Answer:
    return {
        "id": channel.id,
        **({"is_im": True, "user": channel.user} if channel.user else {"name": channel.name, "is_channel": True}),
        "is_private": False,
        "is_archived": channel.archived,
        "is_member": BOT_USER in channel.members,
        "created": channel.created,
        "num_members": len(channel.members),
    }
