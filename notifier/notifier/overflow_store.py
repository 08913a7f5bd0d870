"""All SQL of what a day's quota had no room for."""

from datetime import datetime

from notifier.limiter import Terms
from notifier.overflow import OVERFLOW, key_of, told_at
from shared.db import Connection

EMPTY = '{"text": ""}'  # what the message says is found out when it is sent


async def collapse(tx: Connection, terms: Terms) -> int:
    """Once all that others than approvals and incidents may post today is posted, what waits becomes one message per
    channel. Returns how many did.
    """
    now: datetime = await tx.fetchval("SELECT clock_timestamp()")
    day = terms.day(now)
    if (await tx.fetchval("SELECT posts FROM quota WHERE day = $1", day) or 0) < terms.bulk_posts_a_day:
        return 0
    rows = await tx.fetch(
        """
        UPDATE message SET state = 'digested', last_error = 'quota' WHERE key IN (
            SELECT key FROM message WHERE state = 'ready' AND not_before <= $1 AND ts IS NULL AND NOT urgent
            AND quota_day IS DISTINCT FROM $3 AND NOT starts_with(key, $2) FOR UPDATE SKIP LOCKED
        ) RETURNING key, channel
        """,
        now,
        OVERFLOW,
        day,
    )
    channels = sorted({row["channel"] for row in rows})
    await tx.execute(
        """
        INSERT INTO message (key, channel, urgent, content, not_before)
        SELECT key, channel, false, $3::json, $4 FROM unnest($1::text[], $2::text[]) AS new (key, channel)
        ON CONFLICT DO NOTHING
        """,
        [key_of(day, channel) for channel in channels],
        channels,
        EMPTY,
        told_at(day, terms),
    )
    await tx.execute(
        "UPDATE message SET digest = digest.key FROM unnest($1::text[], $2::text[]) AS digest (key, member)"
        " WHERE message.key = digest.member",
        [key_of(day, row["channel"]) for row in rows],
        [row["key"] for row in rows],
    )
    return len(rows)


async def members(tx: Connection, digest: str) -> list[tuple[bool, str]]:
    """What it tells of, oldest first: whether it is a thing, and its content or the message itself."""
    rows = await tx.fetch(
        """
        SELECT thing.key IS NOT NULL AS is_thing, coalesce(message.content, thing.content)::text AS content
        FROM message LEFT JOIN thing ON thing.key = message.thing WHERE digest = $1 ORDER BY number
        """,
        digest,
    )
    return [(row["is_thing"], row["content"]) for row in rows]
