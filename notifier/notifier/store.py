"""All SQL of notifier but the sender's."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from notifier.living import Content, HeldReason, Posting, Thing, ThingKind, decode, encode
from notifier.render import Message
from notifier.routes import Thread
from shared.contracts.events import ChatAction, Event
from shared.db import Connection

LATER_S = 10.0  # for which a card may show the vote before

MessageState = Literal["ready", "sending", "unknown", "shown", "dry_run", "dead", "digested"]
CALLS_SHOWN = 20


# ---- what handlers ask and write -----------------------------------------------------------------------------------


async def database_time(tx: Connection) -> datetime:
    """The clock that decides what is fresh."""
    now: datetime = await tx.fetchval("SELECT now()")
    return now


async def things(tx: Connection, keys: Collection[str]) -> dict[str, Thing]:
    rows = await tx.fetch("SELECT key, content::text AS content FROM thing WHERE key = ANY($1::text[])", list(keys))
    cards = await tx.fetch(
        """
        SELECT thing, key, channel, shown_version > 0 AS is_shown, thread FROM message WHERE thing = ANY($1::text[])
        UNION ALL
        SELECT listed.thing, key, channel, shown_version > 0, thread
        FROM listed JOIN message ON message.key = listed.message WHERE listed.thing = ANY($1::text[])
        ORDER BY thing, key
        """,
        list(keys),
    )
    of_thing: dict[str, list[Posting]] = {}
    for thing, key, channel, is_shown, thread in cards:
        posting = Posting(key=key, channel=channel, is_shown=is_shown, thread=thread)
        of_thing.setdefault(thing, []).append(posting)
    return {
        row["key"]: Thing(content=decode(row["content"]), cards=tuple(of_thing.get(row["key"], ()))) for row in rows
    }


async def know(tx: Connection, known: Sequence[tuple[str, ThingKind, Content]]) -> None:
    await tx.execute(
        """
        INSERT INTO thing (key, kind, content) SELECT * FROM unnest($1::text[], $2::text[], $3::json[])
        ON CONFLICT (key) DO UPDATE SET content = excluded.content
        """,
        [thing_key for thing_key, _, _ in known],
        [kind for _, kind, _ in known],
        [encode(content) for _, _, content in known],
    )


class NewCard(msgspec.Struct, frozen=True, kw_only=True):
    """Of a thing, in one place; `urgent` overtakes. `repeat_s`: after how long it is told of again."""

    thing: str
    channel: str
    urgent: bool
    thread: Thread = "thread"
    repeat_s: float | None = None

    @property
    def key(self) -> str:
        return f"{self.thing}@{self.channel}"


class NewNote(msgspec.Struct, frozen=True, kw_only=True):
    """A word in the thread of the card `root`; where its route wants none, below it in the channel."""

    key: str
    root: Posting
    urgent: bool
    message: Message


async def tell(tx: Connection, cards: Sequence[NewCard]) -> None:
    channels = [card.channel for card in cards]
    await tx.execute(
        "INSERT INTO pace (name) SELECT DISTINCT unnest($1::text[]) AS name ORDER BY name ON CONFLICT DO NOTHING",
        channels,
    )
    await tx.execute(
        """
        INSERT INTO message (key, thing, channel, urgent, thread, repeat_s, repeat_at)
        SELECT key, thing, channel, urgent, thread, repeat_s, now() + make_interval(secs => repeat_s)
        FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::float8[]) WITH ORDINALITY
            AS card (key, thing, channel, urgent, thread, repeat_s, place) ORDER BY place
        ON CONFLICT DO NOTHING
        """,
        [card.key for card in cards],
        [card.thing for card in cards],
        channels,
        [card.urgent for card in cards],
        [card.thread for card in cards],
        [card.repeat_s for card in cards],
    )


async def note(tx: Connection, notes: Sequence[NewNote]) -> None:
    await tx.execute(
        """
        INSERT INTO message (key, root, channel, urgent, content)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::boolean[], $5::json[]) ON CONFLICT DO NOTHING
        """,
        [note.key for note in notes],
        [None if note.root.thread == "flat" else note.root.key for note in notes],
        [note.root.channel for note in notes],
        [note.urgent for note in notes],
        [msgspec.json.encode(_in_its_manner(note)).decode() for note in notes],
    )


def _in_its_manner(note: NewNote) -> Message:
    return msgspec.structs.replace(note.message, broadcast=note.root.thread == "broadcast")


async def retell(tx: Connection, things: Sequence[str], *, later: Collection[str] = ()) -> None:
    """There is something new to show of them; the messages `later` may wait for what comes next, not for long.

    A message that was given up gets another chance with it, and one that a digest told of has to be a message of its
    own now.
    """
    await tx.execute(
        """
        UPDATE message SET
            version = version + 1,
            edit_after = CASE
                WHEN NOT key = ANY($2::text[]) THEN NULL
                WHEN edit_after > now() THEN edit_after
                ELSE now() + make_interval(secs => $3)
            END,
            failures = CASE WHEN state = 'dead' THEN 0 ELSE failures END,
            text_only = text_only AND state <> 'dead',
            state = CASE
                WHEN state IN ('shown', 'dry_run', 'dead') THEN 'ready'
                WHEN state = 'digested' AND EXISTS (
                    SELECT 1 FROM message AS told WHERE told.key = message.digest AND told.ts > ''
                ) THEN 'ready'
                ELSE state
            END
        WHERE thing = ANY($1::text[])
        """,
        list(things),
        list(later),
        LATER_S,
    )


async def hold(tx: Connection, held: Sequence[tuple[str, Event, HeldReason]]) -> None:
    """What law 9 (or the want of a channel) kept back: key, event, reason."""
    await tx.execute(
        """
        INSERT INTO held (event_id, key, kind, origin, occurred_at, reason)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[])
        ON CONFLICT (event_id) DO NOTHING
        """,
        [event.id for _, event, _ in held],
        [held_key for held_key, _, _ in held],
        [event.kind for _, event, _ in held],
        [event.origin for _, event, _ in held],
        [event.occurred_at for _, event, _ in held],
        [reason for _, _, reason in held],
    )


async def whisper(tx: Connection, whispers: Sequence[tuple[str, str, str, str]]) -> None:
    """Ephemeral answers: event id, channel, recipient, text."""
    await tx.execute(
        """
        INSERT INTO ephemeral (id, channel, recipient, text)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) ON CONFLICT (id) DO NOTHING
        """,
        *([row[column] for row in whispers] for column in range(4)),
    )


async def ask(tx: Connection, action: ChatAction, form: dict[str, Any], *, instead: str) -> None:
    """A form for who clicked, and what they are told where it can't be opened."""
    await tx.execute(
        """
        INSERT INTO ephemeral (id, channel, recipient, text, trigger_id, form) VALUES ($1, $2, $3, $4, $5, $6::json)
        ON CONFLICT (id) DO NOTHING
        """,
        action.id,
        action.channel,
        action.user,
        instead,
        action.trigger_id,
        msgspec.json.encode(form).decode(),
    )


# ---- what the API shows --------------------------------------------------------------------------------------------


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Of which messages; empty and None: of all. `since`: written or called for then or later."""

    state: MessageState | None = None
    channel: str = ""
    thing: str = ""
    since: datetime | None = None


async def messages(tx: Connection, asked: Asked, *, after: str, limit: int) -> list[dict[str, Any]]:
    """In key order, each with its latest calls, newest first."""
    rows = await tx.fetch(
        """
        SELECT message.key, coalesce(thing.kind, 'note') AS kind, thing, root, channel, state, urgent, version,
               shown_version, attempt, channel_id, ts, created_at, not_before, last_error, digest,
               (
                   SELECT coalesce(json_agg(latest), '[]')::text FROM (
                       SELECT number, job, started_at, ended_at, outcome, error FROM call
                       WHERE call.message = message.key ORDER BY number DESC LIMIT $7
                   ) AS latest
               ) AS calls
        FROM message LEFT JOIN thing ON thing.key = message.thing
        WHERE ($1::text IS NULL OR state = $1) AND ($2 = '' OR channel = $2 OR channel_id = $2)
            AND ($3 = '' OR thing = $3 OR starts_with(message.key, $3 || '@'))
            AND ($4::timestamptz IS NULL OR greatest(created_at, started_at) >= $4)
            AND message.key > $5
        ORDER BY message.key LIMIT $6
        """,
        asked.state,
        asked.channel,
        asked.thing,
        asked.since,
        after,
        limit,
        CALLS_SHOWN,
    )
    return [{**row, "calls": msgspec.json.decode(row["calls"])} for row in rows]


async def channels(tx: Connection) -> list[dict[str, Any]]:
    """Where messages go, by name: what waits there, how fast it goes, and since when it takes nothing, if so."""
    rows = await tx.fetch(
        """
        SELECT name, channel_id, barred_since, CASE WHEN barred_since IS NULL THEN '' ELSE barred_by END AS barred_by,
               free_at, per_s, ceiling AS ceiling_per_s, refused_at,
               (SELECT count(*) FROM message WHERE channel = pace.name AND state = 'ready') AS waiting
        FROM pace ORDER BY name
        """
    )
    return [dict(row) for row in rows]


async def message_counts(tx: Connection) -> dict[str, int]:
    rows = await tx.fetch("SELECT state, count(*) AS messages FROM message GROUP BY state ORDER BY state")
    return {row["state"]: row["messages"] for row in rows}


async def held_counts(tx: Connection) -> dict[str, int]:
    rows = await tx.fetch("SELECT reason, count(*) AS events FROM held GROUP BY reason ORDER BY reason")
    return {row["reason"]: row["events"] for row in rows}


async def held(tx: Connection, *, reason: HeldReason | None, before: str, limit: int) -> list[dict[str, Any]]:
    """Newest facts first; `before`: the event id that the page before ended with."""
    rows = await tx.fetch(
        """
        SELECT event_id, key, kind, origin, occurred_at, reason FROM held
        WHERE ($1::text IS NULL OR reason = $1) AND ($2 = '' OR (occurred_at, event_id) < (
            SELECT occurred_at, event_id FROM held WHERE event_id = $2
        )) ORDER BY occurred_at DESC, event_id DESC LIMIT $3
        """,
        reason,
        before,
        limit,
    )
    return [dict(row) for row in rows]
