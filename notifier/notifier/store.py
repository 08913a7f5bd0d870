"""All SQL of notifier."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from notifier.living import Content, HeldReason, Thing, ThingKind, decode, encode
from notifier.settlement import Job, Settlement
from shared.contracts.events import Event
from shared.db import Connection

MessageState = Literal["ready", "sending", "unknown", "shown", "dry_run", "dead"]

UPDATES = "chat.update"  # the pace that all updates of a workspace share


# ---- what handlers ask and write -----------------------------------------------------------------------------------


async def database_time(tx: Connection) -> datetime:
    """The clock that decides what is fresh."""
    now: datetime = await tx.fetchval("SELECT now()")
    return now


async def things(tx: Connection, keys: Collection[str]) -> dict[str, Thing]:
    rows = await tx.fetch(
        """
        SELECT thing.key, thing.content::text AS content, message.key IS NOT NULL AS told
        FROM thing LEFT JOIN message USING (key) WHERE thing.key = ANY($1::text[])
        """,
        list(keys),
    )
    return {row["key"]: Thing(content=decode(row["content"]), told=row["told"]) for row in rows}


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


async def tell(tx: Connection, messages: Sequence[tuple[str, str, bool]]) -> None:
    """New messages: key, channel, whether it overtakes."""
    channels = [channel for _, channel, _ in messages]
    await tx.execute(
        "INSERT INTO pace (name) SELECT DISTINCT unnest($1::text[]) AS name ORDER BY name ON CONFLICT DO NOTHING",
        channels,
    )
    await tx.execute(
        """
        INSERT INTO message (key, channel, urgent) SELECT * FROM unnest($1::text[], $2::text[], $3::boolean[])
        ON CONFLICT (key) DO NOTHING
        """,
        [thing_key for thing_key, _, _ in messages],
        channels,
        [urgent for _, _, urgent in messages],
    )


async def retell(tx: Connection, keys: Sequence[str]) -> None:
    """There is something new to show. A message that was given up gets another chance with it."""
    await tx.execute(
        """
        UPDATE message SET
            version = version + 1,
            failures = CASE WHEN state = 'dead' THEN 0 ELSE failures END,
            text_only = text_only AND state <> 'dead',
            state = CASE WHEN state IN ('shown', 'dry_run', 'dead') THEN 'ready' ELSE state END
        WHERE key = ANY($1::text[])
        """,
        list(keys),
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


# ---- what the sender claims and settles ----------------------------------------------------------------------------


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One try for a message that is ours until its lease ends; `attempt` fences the result."""

    key: str
    job: Job
    attempt: int
    generation: int
    channel: str
    channel_id: str | None
    ts: str | None
    failures: int
    misses: int
    text_only: bool
    first_started_at: datetime
    content: str


class Whisper(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    attempt: int
    channel: str
    recipient: str
    text: str
    failures: int


_CALL = "key, attempt, generation, channel, channel_id, ts, failures, misses, text_only, first_started_at"


async def claim_call(tx: Connection, *, lease: timedelta) -> Call | None:
    """The next post or update that may start now. Its channel is held as long: one message in flight per channel.

    The message is chosen by a statement of its own, after the channel's row is locked: it sees what whoever held
    the channel before has committed.
    """
    channel = await tx.fetchval(
        """
        SELECT name FROM pace WHERE free_at <= now() AND EXISTS (
            SELECT 1 FROM message WHERE channel = pace.name AND state = 'ready' AND not_before <= now()
            AND (ts IS NULL OR (SELECT free_at <= now() FROM pace AS updates WHERE updates.name = $1))
        ) ORDER BY free_at, name LIMIT 1 FOR UPDATE SKIP LOCKED
        """,
        UPDATES,
    )
    row = await _claim_in_channel(tx, channel, lease) if channel else None
    if row is None:
        return None
    await tx.execute("UPDATE pace SET free_at = now() + $2 WHERE name = $1", channel, lease)
    return await _call(tx, row, "update" if row["ts"] else "post")


async def _claim_in_channel(tx: Connection, channel: str, lease: timedelta) -> Any:
    return await tx.fetchrow(
        f"""
        UPDATE message SET state = 'sending', attempt = attempt + 1, sent_version = version, started_at = now(),
            first_started_at = coalesce(first_started_at, now()), lease_until = now() + $2
        WHERE key = (
            SELECT key FROM message WHERE channel = $1 AND state = 'ready' AND not_before <= now()
            AND (ts IS NULL OR (SELECT free_at <= now() FROM pace WHERE name = $3))
            ORDER BY urgent DESC, created_at, key LIMIT 1
        ) AND state = 'ready' RETURNING {_CALL}
        """,  # noqa: S608  # a constant
        channel,
        lease,
        UPDATES,
    )


async def claim_reconcile(tx: Connection, *, lease: timedelta) -> Call | None:
    """The next post that may or may not have happened and should be visible by now if it did."""
    row = await tx.fetchrow(
        f"""
        UPDATE message SET attempt = attempt + 1, not_before = now() + $1 WHERE key = (
            SELECT key FROM message WHERE state = 'unknown' AND not_before <= now()
            ORDER BY not_before LIMIT 1 FOR UPDATE SKIP LOCKED
        ) RETURNING {_CALL}
        """,  # noqa: S608  # a constant
        lease,
    )
    return await _call(tx, row, "reconcile") if row else None


async def _call(tx: Connection, row: Any, job: Job) -> Call:
    """The content is read last: it may be newer than the version claimed, never older."""
    content = await tx.fetchval("SELECT content::text FROM thing WHERE key = $1", row["key"])
    return Call(job=job, content=content, **row)


async def settle(
    tx: Connection, call: Call, settlement: Settlement, *, channel_id: str | None = None, ts: str | None = None
) -> bool:
    """Write what became of a call; False when its lease ended meanwhile and the result isn't ours to write."""
    settled = await tx.fetchval(
        """
        UPDATE message SET
            state = CASE WHEN $4 IN ('shown', 'dry_run', 'dead') AND version > sent_version THEN 'ready' ELSE $4 END,
            shown_version = CASE WHEN $4 = 'shown' THEN sent_version ELSE shown_version END,
            channel_id = coalesce($5, channel_id),
            ts = CASE WHEN $7 THEN NULL ELSE coalesce($6, ts) END,
            generation = generation + $7::boolean::int,
            first_started_at = CASE WHEN $7 THEN NULL ELSE first_started_at END,
            not_before = now() + make_interval(secs => $8),
            failures = $9, misses = $10, text_only = $11, last_error = $12, lease_until = NULL
        WHERE key = $1 AND attempt = $2 AND state = $3 RETURNING true
        """,
        call.key,
        call.attempt,
        "unknown" if call.job == "reconcile" else "sending",
        settlement.state,
        channel_id,
        ts,
        settlement.afresh,
        settlement.wait_s,
        settlement.failures,
        settlement.misses,
        settlement.text_only,
        settlement.error,
    )
    if settled:
        await _pace(tx, call, settlement, channel_id)
    return bool(settled)


async def _pace(tx: Connection, call: Call, settlement: Settlement, channel_id: str | None) -> None:
    """Let the channel go; what Slack asked us to wait for is kept here, so that a restart waits as well."""
    if call.job == "reconcile":
        return
    await tx.execute(
        "UPDATE pace SET free_at = now() + make_interval(secs => $2), channel_id = coalesce($3, channel_id)"
        " WHERE name = $1",
        call.channel,
        settlement.channel_wait_s,
        channel_id,
    )
    if settlement.updates_wait_s:
        await tx.execute(
            "UPDATE pace SET free_at = greatest(free_at, now() + make_interval(secs => $2)) WHERE name = $1",
            UPDATES,
            settlement.updates_wait_s,
        )


async def channel_id(tx: Connection, channel: str) -> str | None:
    """Id of a channel that was posted to before."""
    found: str | None = await tx.fetchval("SELECT channel_id FROM pace WHERE name = $1", channel)
    return found


async def claim_whisper(tx: Connection, *, lease: timedelta) -> Whisper | None:
    row = await tx.fetchrow(
        """
        UPDATE ephemeral SET state = 'sending', attempt = attempt + 1, lease_until = now() + $1 WHERE id = (
            SELECT id FROM ephemeral WHERE state = 'ready' AND not_before <= now()
            ORDER BY created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
        ) RETURNING id, attempt, channel, recipient, text, failures
        """,
        lease,
    )
    return Whisper(**row) if row else None


async def settle_whisper(tx: Connection, whisper: Whisper, settlement: Settlement) -> None:
    await tx.execute(
        """
        UPDATE ephemeral SET state = $3, not_before = now() + make_interval(secs => $4), failures = $5,
            last_error = $6, lease_until = NULL
        WHERE id = $1 AND attempt = $2 AND state = 'sending'
        """,
        whisper.id,
        whisper.attempt,
        settlement.state,
        settlement.wait_s,
        settlement.failures,
        settlement.error,
    )


async def recover(tx: Connection, *, settles_after: timedelta) -> int:
    """Calls whose process left without a result: posts are in doubt, updates are made again. Returns how many."""
    messages = await tx.fetch(
        """
        UPDATE message SET
            state = CASE WHEN ts IS NULL THEN 'unknown' ELSE 'ready' END,
            not_before = CASE WHEN ts IS NULL THEN started_at + $1 ELSE now() END,
            misses = 0, lease_until = NULL, last_error = 'no result'
        WHERE state = 'sending' AND lease_until <= now() RETURNING true
        """,
        settles_after,
    )
    whispers = await tx.fetch(
        "UPDATE ephemeral SET state = 'unknown', last_error = 'no result', lease_until = NULL"
        " WHERE state = 'sending' AND lease_until <= now() RETURNING true"
    )
    return len(messages) + len(whispers)


# ---- what the API shows --------------------------------------------------------------------------------------------


async def messages(tx: Connection, *, state: MessageState | None, after: str, limit: int) -> list[dict[str, Any]]:
    """In key order."""
    rows = await tx.fetch(
        """
        SELECT key, kind, channel, state, version, shown_version, attempt, channel_id, ts, not_before, last_error
        FROM message JOIN thing USING (key)
        WHERE ($1::text IS NULL OR state = $1) AND key > $2 ORDER BY key LIMIT $3
        """,
        state,
        after,
        limit,
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
