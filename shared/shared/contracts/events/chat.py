"""What people say to us in chat."""

import msgspec

from shared.contracts.events.base import Event


class SignedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The original bytes with their signature: whoever lets a person decide checks them again (design section 8)."""

    body: bytes
    timestamp: str
    signature: str


class Chat(Event, frozen=True, kw_only=True):
    team: str
    user: str
    channel: str


class ChatAction(Chat, frozen=True, kw_only=True, tag="chat.action"):
    """A click or a form. `callback` is the action or view id; `value` what the button carries."""

    callback: str
    value: str = ""
    trigger_id: str = ""
    message_ts: str = ""
    signed: SignedRequest


class ChatCommand(Chat, frozen=True, kw_only=True, tag="chat.command"):
    command: str
    text: str = ""
    trigger_id: str = ""
    signed: SignedRequest


class ChatMention(Chat, frozen=True, kw_only=True, tag="chat.mention"):
    text: str = ""
    message_ts: str = ""
    thread_ts: str = ""
