"""All SQL of when the next call may begin: paces, learnt caps and the day's quota."""

from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from notifier.limiter import (
    MOST_PER_S,
    REST_WITHIN_S,
    START_PER_S,
    Pace,
    Terms,
    blame,
    bulk_may_update,
    refuse,
    take,
)
from shared.db import Connection

# The paces that a workspace has beside its channels'.
POSTS = "chat.postMessage"
UPDATES = "chat.update"

MINUTE = timedelta(seconds=61)  # a little more: Slack counts by its own clock
SEEN_S = 10.0  # in which a channel is looked at
SEEN_OF_ALL_S = 2.0  # and the workspace, whose pace may have changed just before
SLOWEST_PER_S = 0.05


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What the workspace lets begin `now`; `posts` and `updates`: the paces of all of either kind. `…_room`: in the
    quota of the `day`, for a post that has no place there yet.
    """

    now: datetime
    day: date
    posts: Pace
    updates: Pace
    bulk_posts: bool
    urgent_posts: bool
    bulk_room: bool
    urgent_room: bool
    bulk_updates: bool
    urgent_updates: bool


async def next_turn_s(tx: Connection) -> float | None:
    """Seconds until somebody's pace lets another call begin; None where nobody waits for that."""
    seconds: float | None = await tx.fetchval(
        """
        SELECT extract(epoch FROM min(free_at) - clock_timestamp())::float8
        FROM pace WHERE free_at > clock_timestamp()
        """
    )
    return seconds


async def gate(tx: Connection, terms: Terms) -> Gate:
    """Holds the workspace's row, so that all replicas together keep its pace and its quota; what it reads by another
    statement is what whoever held it before has committed.
    """
    await lock(tx, POSTS)
    now = await tx.fetchval("SELECT clock_timestamp()")
    row: Any = await tx.fetchrow(
        """
        SELECT posts.free_at, posts.per_s, posts.ceiling, posts.granted,
            posts.busy_until <= $4 AS may_post, updates.free_at AS updates_free_at,
            updates.busy_until <= $4 AS may_update, updates.per_s AS updates_per_s,
            updates.ceiling AS updates_ceiling, updates.granted AS updates_granted,
            (
                SELECT count(*) FROM call
                WHERE job = 'update' AND started_at > $3
            ) AS updates_made,
            coalesce((SELECT posts FROM quota WHERE day = $5), 0) AS posts_made
        FROM pace AS posts, pace AS updates WHERE posts.name = $1 AND updates.name = $2
        """,
        POSTS,
        UPDATES,
        now - MINUTE,
        now,
        terms.day(now),
    )
    posts = Pace(
        free_at=row["free_at"], per_s=row["per_s"] or START_PER_S, ceiling=row["ceiling"], granted=row["granted"]
    )
    updates = Pace(
        free_at=row["updates_free_at"],
        per_s=row["updates_per_s"] or terms.updates_per_s,
        ceiling=row["updates_ceiling"],
        granted=row["updates_granted"],
    )
    budget = min(terms.updates_per_s, updates.per_s) * 60
    return Gate(
        now=now,
        day=terms.day(now),
        posts=posts,
        updates=updates,
        bulk_posts=row["may_post"] and posts.free_at <= now,
        urgent_posts=row["may_post"],
        bulk_room=row["posts_made"] < terms.bulk_posts_a_day,
        urgent_room=row["posts_made"] < terms.posts_a_day,
        bulk_updates=row["may_update"] and bulk_may_update(row["updates_made"], budget, updates.free_at, now),
        urgent_updates=row["may_update"] and row["updates_made"] + 1 <= budget,
    )


async def lock(tx: Connection, name: str) -> None:
    await tx.execute("SELECT 1 FROM pace WHERE name = $1 FOR UPDATE", name)


async def begin(tx: Connection, chosen: Any, gate: Gate, lease: timedelta, terms: Terms) -> None:
    """What one more call leaves to the next ones."""
    most_per_s = 1 / terms.post_interval_s
    channel = Pace(
        free_at=chosen["free_at"],
        per_s=chosen["per_s"] or most_per_s,
        ceiling=chosen["ceiling"],
        granted=chosen["granted"],
    )
    if chosen["is_post"]:
        await _reserve(tx, chosen["key"], gate.now, terms)
        await _keep(tx, POSTS, take(gate.posts, now=gate.now, most_per_s=MOST_PER_S))
        channel = take(channel, now=gate.now, most_per_s=most_per_s)
    else:
        await _keep(tx, UPDATES, take(gate.updates, now=gate.now, most_per_s=terms.updates_per_s))
    await _keep(tx, chosen["channel"], channel)
    await tx.execute("UPDATE pace SET busy_until = $2 WHERE name = $1", chosen["channel"], gate.now + lease)


async def _keep(tx: Connection, name: str, pace: Pace) -> None:
    await tx.execute(
        "UPDATE pace SET free_at = $2, per_s = $3, ceiling = $4, granted = $5 WHERE name = $1",
        name,
        pace.free_at,
        pace.per_s,
        pace.ceiling,
        pace.granted,
    )


async def _reserve(tx: Connection, key: str, now: datetime, terms: Terms) -> None:
    """Room in the day's quota; one reservation per post, moved on where it was made on another day."""
    day = terms.day(now)
    before = await tx.fetchval("SELECT quota_day FROM message WHERE key = $1", key)
    if before == day:
        return
    if before is not None:
        await give_back(tx, key)
    await tx.execute("UPDATE message SET quota_day = $2 WHERE key = $1", key, day)
    await tx.execute(
        "INSERT INTO quota (day, posts) VALUES ($1, 1) ON CONFLICT (day) DO UPDATE SET posts = quota.posts + 1", day
    )


async def give_back(tx: Connection, key: str) -> None:
    """It was not posted for sure."""
    day = await tx.fetchval("SELECT quota_day FROM message WHERE key = $1", key)
    await tx.execute("UPDATE message SET quota_day = NULL WHERE key = $1", key)
    await tx.execute("UPDATE quota SET posts = posts - 1 WHERE day = $1", day)


async def slow_posts(tx: Connection, channel: str, *, age_s: float, wait_s: float) -> None:
    """A post was refused: learn from it whose cap that was, and rest the workspace where it was the second in a row."""
    seen = await _seen(tx, channel)
    blamed = blame(
        age_s=age_s,
        seen_workspace_per_s=seen["workspace_per_s"],
        since_channel_s=seen["since_channel_s"],
        since_workspace_s=seen["since_workspace_s"],
    )
    if "workspace" in blamed:
        await _refuse(tx, POSTS, seen_per_s=seen["workspace_per_s"], unlearnt_per_s=START_PER_S)
    if "channel" in blamed:
        await _refuse(tx, channel, seen_per_s=seen["channel_per_s"], unlearnt_per_s=seen["channel_per_s"])
    await tx.execute("UPDATE pace SET refused_at = now() WHERE name = $1", channel)
    if "workspace" in blamed and (seen["since_workspace_s"] or REST_WITHIN_S) < REST_WITHIN_S:
        await _rest(tx, POSTS, wait_s)


async def slow_updates(tx: Connection, *, wait_s: float) -> None:
    seen_per_s = await tx.fetchval(
        "SELECT count(*)::float8 / 60 FROM call WHERE job = 'update' AND started_at > now() - $1::interval", MINUTE
    )
    await _refuse(tx, UPDATES, seen_per_s=seen_per_s, unlearnt_per_s=seen_per_s)
    await _rest(tx, UPDATES, wait_s)


async def _seen(tx: Connection, channel: str) -> Any:
    """Posts a second of the last few, and since when each was refused."""
    return await tx.fetchrow(
        """
        WITH latest AS (
            SELECT channel, extract(epoch FROM now() - started_at)::float8 AS age_s FROM call
            WHERE job = 'post' AND started_at > now() - make_interval(secs => $2)
        )
        SELECT (
                SELECT count(*) / least($4, greatest(1, max(age_s))) FROM latest WHERE age_s < $4
            ) AS workspace_per_s,
            (SELECT count(*) / greatest(1, max(age_s)) FROM latest WHERE channel = $1) AS channel_per_s,
            (SELECT extract(epoch FROM now() - refused_at)::float8 FROM pace WHERE name = $1) AS since_channel_s,
            (SELECT extract(epoch FROM now() - refused_at)::float8 FROM pace WHERE name = $3) AS since_workspace_s
        """,
        channel,
        SEEN_S,
        POSTS,
        SEEN_OF_ALL_S,
    )


async def _refuse(tx: Connection, name: str, *, seen_per_s: float, unlearnt_per_s: float) -> None:
    row: Any = await tx.fetchrow("SELECT free_at, per_s, ceiling, granted FROM pace WHERE name = $1", name)
    pace = Pace(
        free_at=row["free_at"],
        per_s=row["per_s"] or unlearnt_per_s,
        ceiling=row["ceiling"],
        granted=row["granted"],
    )
    await _keep(tx, name, refuse(pace, seen_per_s=max(seen_per_s, SLOWEST_PER_S)))
    await tx.execute("UPDATE pace SET refused_at = now() WHERE name = $1", name)


async def _rest(tx: Connection, name: str, wait_s: float) -> None:
    await tx.execute(
        "UPDATE pace SET busy_until = greatest(busy_until, now() + make_interval(secs => $2)) WHERE name = $1",
        name,
        wait_s,
    )


async def quota(tx: Connection, terms: Terms) -> dict[str, object]:
    """Of today, as the operator's time zone has it."""
    day = terms.day(await tx.fetchval("SELECT clock_timestamp()"))
    posts = await tx.fetchval("SELECT posts FROM quota WHERE day = $1", day)
    return {
        "day": day.isoformat(),
        "posts": posts or 0,
        "posts_max": terms.posts_a_day,
        "for_all_max": terms.bulk_posts_a_day,
    }


async def room(tx: Connection, terms: Terms) -> int:
    """Posts of today that are left for others than approvals and incidents."""
    day = terms.day(await tx.fetchval("SELECT clock_timestamp()"))
    posts = await tx.fetchval("SELECT posts FROM quota WHERE day = $1", day)
    return max(0, terms.bulk_posts_a_day - (posts or 0))


async def warn_once(tx: Connection, terms: Terms) -> bool:
    """True for the one replica that is the first to see today's quota nearly used up."""
    day = terms.day(await tx.fetchval("SELECT clock_timestamp()"))
    warned = await tx.fetchval(
        "UPDATE quota SET warned = true WHERE day = $1 AND NOT warned AND posts >= $2 RETURNING true",
        day,
        terms.warned_at_posts,
    )
    return bool(warned)


async def lanes(tx: Connection) -> list[tuple[str, int, float]]:
    """Lane, messages that may go now and didn't yet, and seconds that the first of them has waited."""
    rows = await tx.fetch(
        """
        SELECT lane, count(key) AS messages,
            coalesce(extract(epoch FROM now() - min(greatest(not_before, created_at))), 0)::float8 AS oldest_s
        FROM unnest(ARRAY['urgent', 'bulk']) AS lane LEFT JOIN message
            ON state IN ('ready', 'sending', 'unknown') AND urgent = (lane = 'urgent') AND not_before <= now()
        GROUP BY lane ORDER BY lane
        """
    )
    return [(row["lane"], row["messages"], row["oldest_s"]) for row in rows]
