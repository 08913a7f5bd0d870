"""SQL of what is gathered until it is told together, and of the messages that list it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import msgspec

from notifier.living import Content, Posting, decode
from notifier.placing import Place
from notifier.render import Message
from notifier.routes import Thread
from shared.db import Connection


class Pile(msgspec.Struct, frozen=True, kw_only=True):
    channel: str
    name: str
    how: str
    urgent: bool
    thread: Thread
    repeat_s: float | None
    things: tuple[str, ...]


async def gather(tx: Connection, places: Sequence[tuple[str, Place]]) -> None:
    """A group that was told a moment ago is told again only after its interval."""
    await tx.execute(
        """
        INSERT INTO gathered (thing, channel, pile, how, urgent, thread, repeat_s, due_at)
        SELECT thing, channel, pile, how, urgent, thread, repeat_s, greatest(due_at, (
            SELECT told_at + make_interval(secs => interval_s) FROM pile
            WHERE pile.channel = placed.channel AND pile.name = placed.pile
        )) FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::timestamptz[], $7::float8[],
            $8::text[], $9::float8[])
            AS placed (thing, channel, pile, how, urgent, due_at, interval_s, thread, repeat_s)
        ON CONFLICT (thing, channel) DO NOTHING
        """,
        [thing for thing, _ in places],
        [place.to for _, place in places],
        [place.pile for _, place in places],
        [place.how for _, place in places],
        [place.urgent for _, place in places],
        [place.due_at for _, place in places],
        [place.manner.group.interval.total_seconds() if place.manner.group else 0.0 for _, place in places],
        [place.manner.thread for _, place in places],
        [place.manner.repeat_s for _, place in places],
    )


async def give_up(tx: Connection, cards: Collection[tuple[str, str]]) -> None:
    """What is told at once is not told again with others: thing and channel."""
    await tx.execute(
        "DELETE FROM gathered WHERE (thing, channel) IN (SELECT * FROM unnest($1::text[], $2::text[]))",
        [thing for thing, _ in cards],
        [channel for _, channel in cards],
    )


async def take(tx: Connection) -> Pile | None:
    """The pile that is due longest; no two processes take from one at the same time.

    A group is taken whole, for its company is what it waits for; of others what is due.
    """
    due = await tx.fetchrow(
        """
        SELECT channel, pile FROM gathered WHERE due_at <= now()
        AND pg_try_advisory_xact_lock(hashtextextended(channel || '|' || pile, 5)) ORDER BY due_at LIMIT 1
        """
    )
    if due is None:
        return None
    rows = await tx.fetch(
        """
        DELETE FROM gathered WHERE channel = $1 AND pile = $2 AND (how = 'group' OR due_at <= now())
        RETURNING thing, how, urgent, thread, repeat_s
        """,
        due["channel"],
        due["pile"],
    )
    if not rows:
        return None
    rows = sorted(rows, key=lambda row: row["thing"])
    await tx.execute(
        """
        INSERT INTO pile (channel, name, told_at) VALUES ($1, $2, now())
        ON CONFLICT (channel, name) DO UPDATE SET told_at = now()
        """,
        due["channel"],
        due["pile"],
    )
    return Pile(
        channel=due["channel"],
        name=due["pile"],
        how=rows[0]["how"],
        urgent=any(row["urgent"] for row in rows),
        thread=rows[0]["thread"],
        repeat_s=rows[0]["repeat_s"],
        things=tuple(row["thing"] for row in rows),
    )


async def hasten_digests(tx: Connection, channels: Sequence[str]) -> dict[str, int]:
    """What waits for a digest in these channels, by name or Slack's id, is due now; how many things, by channel."""
    rows = await tx.fetch(
        """
        WITH hastened AS (
            UPDATE gathered SET due_at = now() WHERE how = 'digest' AND channel IN (
                SELECT unnest($1::text[]) UNION SELECT name FROM pace WHERE channel_id = ANY($1::text[])
            ) RETURNING channel
        )
        SELECT channel, count(*) AS things FROM hastened GROUP BY channel
        """,
        list(channels),
    )
    return {row["channel"]: row["things"] for row in rows}


async def contents(tx: Connection, things: Collection[str]) -> dict[str, Content]:
    rows = await tx.fetch("SELECT key, content::text FROM thing WHERE key = ANY($1::text[]) ORDER BY key", list(things))
    return {row["key"]: decode(row["content"]) for row in rows}


async def list_things(tx: Connection, key: str, pile: Pile, message: Message) -> None:
    channel, things = pile.channel, pile.things
    await tx.execute("INSERT INTO pace (name) VALUES ($1) ON CONFLICT DO NOTHING", channel)
    await tx.execute(
        """
        INSERT INTO message (key, channel, urgent, content, thread) VALUES ($1, $2, $3, $4::json, $5)
        ON CONFLICT DO NOTHING
        """,
        key,
        channel,
        pile.urgent,
        msgspec.json.encode(message).decode(),
        pile.thread,
    )
    await tx.execute(
        "INSERT INTO listed (message, thing, how) SELECT $1, unnest($2::text[]), $3 ON CONFLICT DO NOTHING",
        key,
        list(things),
        pile.how,
    )


async def lists_of(tx: Connection, things: Collection[str]) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Messages that list one of these: how they came to be, and all that they list."""
    rows = await tx.fetch(
        """
        SELECT message, min(how) AS how, array_agg(thing ORDER BY thing) AS things FROM listed
        WHERE message IN (SELECT message FROM listed WHERE thing = ANY($1::text[])) GROUP BY message ORDER BY message
        """,
        list(things),
    )
    return {row["message"]: (row["how"], tuple(row["things"])) for row in rows}


async def lock(tx: Connection, key: str) -> None:
    """Whoever shows it next sees what was committed before."""
    await tx.execute("SELECT FROM message WHERE key = $1 FOR UPDATE", key)


async def show(tx: Connection, key: str, message: Message) -> None:
    await tx.execute(
        """
        UPDATE message SET content = $2::json, version = version + 1,
            state = CASE WHEN state IN ('shown', 'dry_run', 'dead') THEN 'ready' ELSE state END
        WHERE key = $1 AND content::text <> $2
        """,
        key,
        msgspec.json.encode(message).decode(),
    )


class Again(msgspec.Struct, frozen=True, kw_only=True):
    """A card that stands for longer than its route lets pass in silence."""

    card: Posting
    urgent: bool
    content: Content


async def repeats(tx: Connection, *, limit: int) -> list[Again]:
    """Those that are due; each is due again after its time."""
    rows = await tx.fetch(
        """
        UPDATE message SET repeat_at = now() + make_interval(secs => repeat_s) FROM thing
        WHERE thing.key = message.thing AND message.key IN (
            SELECT key FROM message WHERE repeat_at <= now() AND ts > '' ORDER BY repeat_at LIMIT $1
            FOR UPDATE SKIP LOCKED
        ) RETURNING message.key, channel, thread, urgent, thing.content::text
        """,
        limit,
    )
    return [
        Again(
            card=Posting(key=row["key"], channel=row["channel"], is_shown=True, thread=row["thread"]),
            urgent=row["urgent"],
            content=decode(row["content"]),
        )
        for row in rows
    ]


async def repeat_at(tx: Connection, moments: Mapping[str, datetime | None]) -> None:
    """When these are told again; None: no more."""
    await tx.execute(
        """
        UPDATE message SET repeat_at = moment.at FROM unnest($1::text[], $2::timestamptz[]) AS moment (key, at)
        WHERE message.key = moment.key
        """,
        list(moments),
        list(moments.values()),
    )


async def unreached(tx: Connection, *, limit: int) -> dict[str, Content]:
    """What waits for a decision and has cards, all of them given up, and no other that waits for its time."""
    rows = await tx.fetch(
        """
        SELECT key, content::text FROM thing
        WHERE key IN (SELECT thing FROM message WHERE state = 'dead' AND thing IS NOT NULL)
            AND kind = 'approval' AND content->'snapshot'->>'status' = 'pending'
            AND NOT EXISTS (SELECT FROM message WHERE message.thing = thing.key AND message.state <> 'dead')
            AND NOT EXISTS (SELECT FROM gathered WHERE gathered.thing = thing.key)
        ORDER BY key LIMIT $1
        """,
        limit,
    )
    return {row["key"]: decode(row["content"]) for row in rows}


async def now(tx: Connection) -> datetime:
    at: datetime = await tx.fetchval("SELECT now()")
    return at
