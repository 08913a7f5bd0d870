"""What the Slack counterpart remembers: one workspace with channels, people, messages and rate limits."""

import base64
import hashlib
import math
import re
import time
from collections.abc import Callable
from typing import Any

import msgspec

TEAM_ID = "T07EMSANDBX"
APP_ID = "A07EMAGENT0"
BOT_ID = "B07EMAGENT0"
BOT_USER = "U07EMAGENT0"
TRIGGER = re.compile(r"([0-9]{13})\.[0-9]+\.[0-9a-f]{32}", re.ASCII)
PERSON = re.compile(r"[UW][A-Z0-9]+", re.ASCII)
TRIGGER_VALID_S = 3.0


class Refusal(Exception):
    """An answer with `ok: false`; `messages` become `response_metadata.messages`, `fields` stand beside the error."""

    def __init__(self, error: str, *messages: str, **fields: str) -> None:
        super().__init__(error)
        self.error = error
        self.messages = messages
        self.fields = fields


class TooMany(Exception):
    """A rate limit of the platform itself, as opposed to one of the fault plan."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"retry after {retry_after_s} s")
        self.retry_after_s = retry_after_s


class SlackSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`token` null accepts every bot token; `auto_create` makes unknown channel names and people exist.

    `workspace_posts_per_s`: the cap of all channels together, which Slack has and doesn't publish; null for none.
    `scopes`: what the token may; null allows everything.
    """

    token: str | None = None
    scopes: tuple[str, ...] | None = None
    auto_create: bool = False
    posts_per_s: float = 1.0
    post_burst: int = 3
    workspace_posts_per_s: float | None = None
    workspace_post_burst: int = 10
    updates_per_min: float = 50.0
    update_burst: int = 50


class User(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: str
    id: str = ""
    email: str | None = None
    real_name: str = ""
    tz: str = "Etc/UTC"
    is_bot: bool = False
    deleted: bool = False


class Group(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A user group: `@handle`."""

    handle: str
    id: str = ""
    name: str = ""
    users: list[str] = []
    disabled: bool = False


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """A version that was replaced, and the ts of the edit that replaced it."""

    edited_ts: str
    text: str
    blocks: list[Any]


class Message(msgspec.Struct, kw_only=True):
    ts: str
    text: str
    user: str = BOT_USER
    blocks: list[Any] = []
    attachments: list[Any] = []
    metadata: dict[str, Any] | None = None
    thread_ts: str | None = None
    broadcast: bool = False
    ephemeral_for: str | None = None
    edits: list[Edit] = []
    reactions: list[str] = []


class Channel(msgspec.Struct, kw_only=True):
    """`messages` by ts, oldest first; an ephemeral message is seen by one person and in no history.

    `user`: with whom, in a direct conversation.
    """

    id: str
    name: str
    created: int
    archived: bool = False
    members: list[str] = []
    user: str | None = None
    messages: dict[str, Message] = {}
    ephemerals: list[Message] = []


class Bucket(msgspec.Struct):
    """A token bucket; `wait_s` is 0 when it has room for a call."""

    per_s: float
    burst: float
    level: float
    at: float

    def wait_s(self, now: float) -> float:
        self.level = min(self.burst, self.level + (now - self.at) * self.per_s)
        self.at = now
        return max(0.0, (1 - self.level) / self.per_s)


class Workspace:
    def __init__(self, settings: SlackSettings, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.channels: dict[str, Channel] = {}
        self.users: dict[str, User] = {}
        self.groups: dict[str, Group] = {}
        self.hooks: dict[str, str] = {}
        self.views: list[dict[str, Any]] = []
        self._clock = clock
        self._spent: set[str] = set()
        self._buckets: dict[tuple[str, str], Bucket] = {}
        self._last_ts_us = 0
        self.add_user(User(id=BOT_USER, name="em-agent", real_name="EM Agent", is_bot=True))

    def add_channel(
        self, name: str, *, members: list[str] | None = None, archived: bool = False, bot_member: bool = True
    ) -> Channel:
        """Create the channel, or replace who is in it and whether it is archived."""
        name = name.lstrip("#")
        channel_id = identifier("C", name)
        known = self.channels.get(channel_id)
        channel = known or Channel(id=channel_id, name=name, created=int(self._clock()))
        channel.members = [*(members or []), *([BOT_USER] if bot_member else [])]
        channel.archived = archived
        self.channels[channel_id] = channel
        return channel

    def add_user(self, user: User) -> User:
        user.id = user.id or identifier("U", user.name)
        self.users[user.id] = user
        return user

    def add_group(self, group: Group) -> Group:
        group.id = group.id or identifier("S", group.handle)
        self.groups[group.id] = group
        return group

    def add_hook(self, channel: str) -> str:
        """Path of an incoming webhook: its channel is fixed, and whoever knows the path may post."""
        path = f"{TEAM_ID}/{identifier('B', channel)}/{identifier('', channel)}"
        self.hooks[path] = self.destination(channel).id
        return path

    def has_direct(self, user: User) -> bool:
        return identifier("D", user.id) in self.channels

    def direct(self, user: User) -> Channel:
        """The conversation of the bot with one person, which is there once it was opened."""
        if user.deleted:
            raise Refusal("user_disabled")
        if user.is_bot:
            raise Refusal("cannot_dm_bot")
        channel_id = identifier("D", user.id)
        opened = Channel(
            id=channel_id, name=user.name, created=int(self._clock()), user=user.id, members=[user.id, BOT_USER]
        )
        return self.channels.setdefault(channel_id, opened)

    def channel(self, channel_id: Any) -> Channel:
        """The channel of that id; only the posting methods take names."""
        if not isinstance(channel_id, str) or channel_id not in self.channels:
            raise Refusal("channel_not_found")
        return self.channels[channel_id]

    def destination(self, name_or_id: Any) -> Channel:
        """Where a post goes: "#payments", "payments", an id, or a person. The bot must be able to post there."""
        channel = self._destination(name_or_id)
        if channel.archived:
            raise Refusal("is_archived")
        if BOT_USER not in channel.members:
            raise Refusal("not_in_channel")
        return channel

    def names_of(self, name_or_id: str) -> frozenset[str]:
        """Every way to name that channel, so that a fault rule may use any of them."""
        name = name_or_id.lstrip("#")
        known = self.channels.get(name_or_id)
        name = known.name if known else name
        if known and known.user:
            return frozenset({known.id, known.user})
        if name_or_id in self.users:
            return frozenset({name_or_id, identifier("D", name_or_id)})
        return frozenset({name_or_id, name, f"#{name}", known.id if known else identifier("C", name)})

    def user(self, user_id: Any, *, error: str) -> User:
        if not isinstance(user_id, str) or user_id not in self.users:
            if not (self.settings.auto_create and isinstance(user_id, str) and user_id[:1] in ("U", "W")):
                raise Refusal(error)
            self.add_user(User(id=user_id, name=user_id.lower()))
        return self.users[user_id]

    def spend_trigger(self, trigger_id: str) -> None:
        """A trigger opens one view, within three seconds of what made it."""
        made = TRIGGER.fullmatch(trigger_id)
        if not made:
            raise Refusal("invalid_trigger_id")
        if self._clock() - int(made[1]) / 1000 > TRIGGER_VALID_S:
            raise Refusal("expired_trigger_id")
        if trigger_id in self._spent:
            raise Refusal("exchanged_trigger_id")
        self._spent.add(trigger_id)

    def show(self, view: dict[str, Any]) -> dict[str, Any]:
        """The view as Slack keeps it, with the id and hash that a submission names."""
        number = len(self.views)
        shown = {**view, "id": identifier("V", str(number)), "hash": f"{int(self._clock())}.{number:08x}"}
        self.views.append(shown)
        return shown

    def show_instead(self, shown: dict[str, Any], view: dict[str, Any]) -> dict[str, Any]:
        """Another view in the same modal, under another hash."""
        number = int(str(shown["hash"]).rpartition(".")[2], 16) + 1
        identity = {"id": shown["id"], "hash": f"{int(self._clock())}.{number:08x}"}
        shown.clear()
        shown.update(view | identity)
        return shown

    def next_ts(self) -> str:
        self._last_ts_us = max(int(self._clock() * 1_000_000), self._last_ts_us + 1)
        seconds, micros = divmod(self._last_ts_us, 1_000_000)
        return f"{seconds}.{micros:06d}"

    def admit_post(self, channel: Channel) -> None:
        buckets = [self._bucket(("chat.postMessage", channel.id), self.settings.posts_per_s, self.settings.post_burst)]
        if cap := self.settings.workspace_posts_per_s:
            buckets.append(self._bucket(("chat.postMessage", ""), cap, self.settings.workspace_post_burst))
        self._admit(buckets)

    def admit_update(self) -> None:
        self._admit([self._bucket(("chat.update", ""), self.settings.updates_per_min / 60, self.settings.update_burst)])

    def _bucket(self, key: tuple[str, str], per_s: float, burst: int) -> Bucket:
        bucket = self._buckets.get(key)
        if bucket is None or (bucket.per_s, bucket.burst) != (per_s, burst):
            bucket = self._buckets[key] = Bucket(per_s, burst, level=burst, at=self._clock())
        return bucket

    def _admit(self, buckets: list[Bucket]) -> None:
        """A call that one of them refuses costs the others nothing."""
        now = self._clock()
        wait_s = max(bucket.wait_s(now) for bucket in buckets)
        if wait_s > 0:
            raise TooMany(retry_after_s=math.ceil(wait_s))
        for bucket in buckets:
            bucket.level -= 1

    def _destination(self, name_or_id: Any) -> Channel:
        if not isinstance(name_or_id, str) or not name_or_id:
            raise Refusal("channel_not_found")
        if name_or_id in self.channels:
            return self.channels[name_or_id]
        if PERSON.fullmatch(name_or_id):
            return self.direct(self.user(name_or_id, error="channel_not_found"))
        named = self.channels.get(identifier("C", name_or_id.lstrip("#")))
        if named is None and self.settings.auto_create and name_or_id.startswith("#"):
            return self.add_channel(name_or_id)
        if named is None:
            raise Refusal("channel_not_found")
        return named


def identifier(prefix: str, name: str) -> str:
    """An id that looks like Slack's and is the same in every run: C7QH3ZK2M4A."""
    return prefix + base64.b32encode(hashlib.sha256(f"{prefix}:{name}".encode()).digest()).decode()[:10]
