"""All SQL of the sender: what it claims, what becomes of it, and when the next may go."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from notifier.settlement import Job, Settlement
from shared.db import Connection

UPDATES = "chat.update"  # the pace that all updates of a workspace share


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One try for a message that is ours until its lease ends; `attempt` fences the result.

    `content` is the thing's where it is a card, else the message itself; `thread_ts`: in the thread of that post.
    """

    key: str
    thing: str | None
    thread_ts: str | None
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
    """With a `trigger_id` it is the form (JSON) that the trigger opens, else the text."""

    id: str
    attempt: int
    channel: str
    recipient: str
    text: str
    failures: int
    trigger_id: str
    form: str | None


_CALL = (
    "key, attempt, generation, channel, channel_id, ts, failures, misses, text_only, first_started_at, thing, root,"
    " content::text"
)
# A note waits until its card stands, and goes with it where it was given up.
_PLACED = "(root IS NULL OR EXISTS (SELECT 1 FROM message AS card WHERE card.key = message.root AND card.ts > ''))"


async def claim_call(tx: Connection, *, lease: timedelta) -> Call | None:
    """The next post or update that may start now. Its channel is held as long: one message in flight per channel.

    The message is chosen by a statement of its own, after the channel's row is locked: it sees what whoever held
    the channel before has committed.
    """
    channel = await tx.fetchval(
        f"""
        SELECT name FROM pace WHERE free_at <= now() AND EXISTS (
            SELECT 1 FROM message WHERE channel = pace.name AND state = 'ready' AND not_before <= now()
            AND (ts IS NULL OR (SELECT free_at <= now() FROM pace AS updates WHERE updates.name = $1))
            AND {_PLACED}
        ) ORDER BY free_at, name LIMIT 1 FOR UPDATE SKIP LOCKED
        """,  # noqa: S608  # a constant
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
            AND {_PLACED}
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
    """What is known of a thing is read last: it may be newer than the version claimed, never older."""
    fields = dict(row)
    root = fields.pop("root")
    thread_ts = await tx.fetchval("SELECT ts FROM message WHERE key = $1", root) if root else None
    if fields["thing"]:
        fields["content"] = await tx.fetchval("SELECT content::text FROM thing WHERE key = $1", fields["thing"])
    return Call(job=job, thread_ts=thread_ts, **fields)


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
    if settled and settlement.state == "dead" and not call.ts:
        await tx.execute(
            "UPDATE message SET state = 'dead', last_error = 'no card' WHERE root = $1 AND state = 'ready'", call.key
        )
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
    """Forms first: their triggers last three seconds."""
    row = await tx.fetchrow(
        """
        UPDATE ephemeral SET state = 'sending', attempt = attempt + 1, lease_until = now() + $1 WHERE id = (
            SELECT id FROM ephemeral WHERE state = 'ready' AND not_before <= now()
            ORDER BY trigger_id = '', created_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
        ) RETURNING id, attempt, channel, recipient, text, failures, trigger_id, form::text
        """,
        lease,
    )
    return Whisper(**row) if row else None


async def settle_whisper(tx: Connection, whisper: Whisper, settlement: Settlement) -> None:
    """A trigger is used up by any try."""
    await tx.execute(
        """
        UPDATE ephemeral SET state = $3, not_before = now() + make_interval(secs => $4), failures = $5,
            last_error = $6, lease_until = NULL, trigger_id = ''
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
