"""All SQL of the sender: what it claims, and what becomes of it."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from notifier import pace_store
from notifier.limiter import Terms
from notifier.render import Message
from notifier.settlement import Job, Settlement
from shared.db import Connection

HELD_UP_AT_MOST_S = 90.0
BARRED_FOR_S = 600.0  # then one message tries again


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One try for a message that is ours until its lease ends; `attempt` fences the result.

    `content` is the thing's where it is a card, else the message itself; `thread_ts`: in the thread of that post.
    `barred`: why its channel took nothing a short while ago. `waited_s`: for its turn.
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
    urgent: bool
    barred: str = ""
    waited_s: float = 0.0


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


# The column list of a call.
_CALL = (
    "key, attempt, generation, channel, channel_id, ts, failures, misses, text_only, first_started_at, thing, root,"
    " content::text, urgent"
)


async def is_any_due(tx: Connection) -> bool:
    due: bool = await tx.fetchval("SELECT EXISTS (SELECT 1 FROM message WHERE state = 'ready' AND not_before <= now())")
    return due


async def claim_call(tx: Connection, *, lease: timedelta, terms: Terms, urgent_only: bool = False) -> Call | None:
    """The next post or update that may start now. Its channel is held as long: one message in flight per channel.

    Whoever claims holds the workspace's row meanwhile, so that all replicas together keep its pace and its quota.
    """
    gate = await pace_store.gate(tx, terms)
    chosen = await _choose(tx, gate, urgent_only=urgent_only)
    if chosen is None:
        return None
    row = await tx.fetchrow(
        f"""
        UPDATE message SET state = 'sending', attempt = attempt + 1, sent_version = version, started_at = $2,
            first_started_at = coalesce(first_started_at, $2), lease_until = $2::timestamptz + $3::interval
        WHERE key = (SELECT key FROM message WHERE key = $1 AND state = 'ready' FOR UPDATE SKIP LOCKED)
        RETURNING {_CALL}
        """,  # noqa: S608  # a constant
        chosen["key"],
        gate.now,
        lease,
    )
    if row is None:
        return None
    await pace_store.begin(tx, chosen, gate, lease, terms)
    call = await _call(tx, row, "post" if chosen["is_post"] else "update")
    await _log(tx, call, gate.now)
    barred = chosen["barred_by"] if chosen["is_barred"] and chosen["is_post"] else ""
    return msgspec.structs.replace(call, barred=barred, waited_s=chosen["waited_s"])


async def _choose(tx: Connection, gate: pace_store.Gate, *, urgent_only: bool) -> Any:
    """Key, channel and whether it is a post; urgent ones first, then the channel that waits longest.

    A channel is told in the order in which it was written: as long as it isn't clear what became of a post, none but
    urgent ones overtake it, unless that takes longer than people should wait for the others.
    """
    return await tx.fetchrow(
        """
        SELECT chosen.*, pace.free_at, pace.per_s, pace.ceiling, pace.granted, pace.barred_by,
            coalesce(pace.barred_at > $1::timestamptz - make_interval(secs => $8), false) AS is_barred
        FROM pace CROSS JOIN LATERAL (
            SELECT EXISTS (
                SELECT 1 FROM message AS tried WHERE tried.channel = pace.name AND tried.ts IS NULL
                AND tried.first_started_at IS NOT NULL AND tried.state IN ('ready', 'sending', 'unknown')
                AND NOT tried.urgent AND tried.not_before < $1::timestamptz + make_interval(secs => $2)
            ) AS is_held
        ) AS head CROSS JOIN LATERAL (
            SELECT key, channel, urgent, number, ts IS NULL AS is_post,
                greatest(0, extract(epoch FROM $1 - greatest(not_before, created_at)))::float8 AS waited_s
            FROM message
            WHERE channel = pace.name AND state = 'ready' AND not_before <= $1 AND urgent >= $3
            AND (ts IS NULL OR edit_after IS NULL OR edit_after <= $1)
            AND CASE
                WHEN ts IS NOT NULL THEN CASE WHEN urgent THEN $7::boolean ELSE $6::boolean END
                WHEN pace.free_at > $1 THEN false
                WHEN quota_day IS DISTINCT FROM $9 AND NOT CASE WHEN urgent THEN $11::boolean ELSE $10::boolean END
                    THEN false
                WHEN urgent THEN $5::boolean
                ELSE $4::boolean AND (first_started_at IS NOT NULL OR NOT head.is_held)
            END AND (root IS NULL OR EXISTS (SELECT 1 FROM message AS card WHERE card.key = message.root AND ts > ''))
            ORDER BY urgent DESC, number LIMIT 1
        ) AS chosen
        WHERE pace.busy_until <= $1 ORDER BY chosen.urgent DESC, pace.free_at, chosen.number LIMIT 1
        FOR UPDATE OF pace SKIP LOCKED
        """,
        gate.now,
        HELD_UP_AT_MOST_S,
        urgent_only or not (gate.bulk_posts or gate.bulk_updates),
        gate.bulk_posts,
        gate.urgent_posts,
        gate.bulk_updates,
        gate.urgent_updates,
        BARRED_FOR_S,
        gate.day,
        gate.bulk_room,
        gate.urgent_room,
    )


async def _log(tx: Connection, call: Call, started_at: datetime) -> None:
    await tx.execute(
        "INSERT INTO call (message, number, channel, job, started_at) VALUES ($1, $2, $3, $4, $5)",
        call.key,
        call.attempt,
        call.channel,
        call.job,
        started_at,
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
    if row is None:
        return None
    call = await _call(tx, row, "reconcile")
    await _log(tx, call, await tx.fetchval("SELECT now()"))
    return call


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
    """Write what became of a call; False when its lease ended meanwhile and the result isn't ours to write.

    Rows are locked in the order in which a claim takes them: workspace, channel, message, quota.
    """
    if settlement.refused and call.job == "post":
        await pace_store.lock(tx, pace_store.POSTS)
    await pace_store.lock(tx, call.channel)
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
    if not settled:
        return False
    await _let_go(tx, call, settlement, channel_id)
    if settlement.unsent:
        await pace_store.give_back(tx, call.key)
    if settlement.afresh:
        await tx.execute("UPDATE message SET quota_day = NULL WHERE key = $1", call.key)
    if settlement.state == "dead" and not call.ts:
        await tx.execute(
            "UPDATE message SET state = 'dead', last_error = 'no card' WHERE root = $1 AND state = 'ready'", call.key
        )
    await tx.execute(
        "UPDATE call SET ended_at = now(), outcome = $3, error = $4 WHERE message = $1 AND number = $2",
        call.key,
        call.attempt,
        "unknown" if settlement.in_doubt else settlement.state,
        settlement.error,
    )
    return True


async def _let_go(tx: Connection, call: Call, settlement: Settlement, channel_id: str | None) -> None:
    """The channel; what Slack asked us to wait for is kept here, so that a restart and the others wait as well."""
    if call.job == "reconcile":
        return
    await tx.execute(
        """
        UPDATE pace SET busy_until = now(), free_at = greatest(free_at, now() + make_interval(secs => $2)),
            channel_id = coalesce($3, channel_id),
            barred_since = CASE WHEN $4 THEN NULL ELSE barred_since END,
            barred_at = CASE WHEN $4 THEN NULL ELSE barred_at END
        WHERE name = $1
        """,
        call.channel,
        settlement.channel_wait_s,
        channel_id,
        settlement.state == "shown" and call.job == "post",
    )
    if settlement.refused and call.job == "post":
        age_s = await tx.fetchval(
            "SELECT extract(epoch FROM now() - started_at)::float8 FROM message WHERE key = $1", call.key
        )
        await pace_store.slow_posts(tx, call.channel, age_s=age_s, wait_s=settlement.wait_s)
    if settlement.refused and call.job == "update":
        await pace_store.slow_updates(tx, wait_s=settlement.wait_s)


async def bar(tx: Connection, call: Call, error: str) -> bool:
    """The channel takes nothing; True when that is news. A call that was not made says nothing new."""
    since = await tx.fetchval("SELECT barred_since FROM pace WHERE name = $1", call.channel)
    if not call.barred:
        await tx.execute(
            "UPDATE pace SET barred_since = coalesce(barred_since, now()), barred_at = now(), barred_by = $2"
            " WHERE name = $1",
            call.channel,
            error,
        )
    return since is None


async def redirect(tx: Connection, call: Call, channel: str) -> None:
    """The same card or message in another channel, unless it stands there already."""
    await tx.execute("INSERT INTO pace (name) VALUES ($1) ON CONFLICT DO NOTHING", channel)
    await tx.execute(
        """
        INSERT INTO message (key, thing, channel, urgent, content)
        SELECT coalesce(thing, key) || '@' || $2, thing, $2, urgent, content FROM message WHERE key = $1
        ON CONFLICT DO NOTHING
        """,
        call.key,
        channel,
    )
    await tx.execute(
        "UPDATE message SET digest = moved.key FROM message AS moved"
        " WHERE message.digest = $1 AND moved.key = $1 || '@' || $2",
        call.key,
        channel,
    )


async def say(tx: Connection, key: str, channel: str, message: Message) -> None:
    """A message of notifier's own, once."""
    await tx.execute("INSERT INTO pace (name) VALUES ($1) ON CONFLICT DO NOTHING", channel)
    await tx.execute(
        "INSERT INTO message (key, channel, urgent, content) VALUES ($1, $2, true, $3::json) ON CONFLICT DO NOTHING",
        key,
        channel,
        msgspec.json.encode(message).decode(),
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
        WHERE state = 'sending' AND lease_until <= now() RETURNING key, attempt, state
        """,
        settles_after,
    )
    await tx.execute(
        """
        UPDATE call SET ended_at = now(), outcome = found.state, error = 'no result'
        FROM unnest($1::text[], $2::integer[], $3::text[]) AS found (key, number, state)
        WHERE call.message = found.key AND call.number = found.number
        """,
        [row["key"] for row in messages],
        [row["attempt"] for row in messages],
        [row["state"] for row in messages],
    )
    whispers = await tx.fetch(
        "UPDATE ephemeral SET state = 'unknown', last_error = 'no result', lease_until = NULL"
        " WHERE state = 'sending' AND lease_until <= now() RETURNING true"
    )
    return len(messages) + len(whispers)


async def forget(tx: Connection, *, kept: timedelta) -> None:
    """Calls of long ago."""
    await tx.execute("DELETE FROM call WHERE started_at < now() - $1::interval", kept)
