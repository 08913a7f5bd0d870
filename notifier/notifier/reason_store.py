"""SQL of the reasons why people were, or were not, told."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from notifier.explain import Reason
from shared.db import Connection

KEPT_FOR = timedelta(days=30)  # as long as EVENTS keeps what they are about
LISTED_MAX = 200


async def add(tx: Connection, reasons: Sequence[Reason]) -> None:
    await tx.execute(
        """
        INSERT INTO reason (event_id, kind, thing, decision, why, channel, route, steps)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
            $8::json[]) ON CONFLICT DO NOTHING
        """,
        [reason.event for reason in reasons],
        [reason.kind for reason in reasons],
        [reason.thing for reason in reasons],
        [reason.decision for reason in reasons],
        [reason.why for reason in reasons],
        [reason.channel for reason in reasons],
        [reason.route for reason in reasons],
        [msgspec.json.encode(reason.steps).decode() for reason in reasons],
    )


async def of(tx: Connection, event_or_thing: str) -> list[dict[str, Any]]:
    """Oldest first: of one event, or of all events of one thing."""
    rows = await tx.fetch(
        """
        SELECT event_id, kind, thing, decision, why, channel, route, steps::text, recorded_at FROM reason
        WHERE event_id = $1 OR thing = $1 ORDER BY recorded_at, event_id, channel LIMIT $2
        """,
        event_or_thing,
        LISTED_MAX,
    )
    return [{**dict(row), "steps": msgspec.json.decode(row["steps"])} for row in rows]


async def messages(tx: Connection, things: Sequence[str]) -> list[dict[str, Any]]:
    """What stands, or stood, in Slack of these things: their cards, the lists that hold them, notes below both."""
    rows = await tx.fetch(
        """
        WITH card AS (
            SELECT key FROM message WHERE thing = ANY($1::text[])
            UNION SELECT message FROM listed WHERE thing = ANY($1::text[])
        )
        SELECT key, channel, state, ts, root, not_before, last_error FROM message
        WHERE key IN (SELECT key FROM card) OR root IN (SELECT key FROM card) ORDER BY created_at, key LIMIT $2
        """,
        list(things),
        LISTED_MAX,
    )
    return [dict(row) for row in rows]


async def gathered(tx: Connection, things: Sequence[str]) -> list[dict[str, Any]]:
    rows = await tx.fetch(
        "SELECT thing, channel, how, due_at FROM gathered WHERE thing = ANY($1::text[]) ORDER BY due_at, channel",
        list(things),
    )
    return [dict(row) for row in rows]


async def forget(tx: Connection, *, now: datetime, limit: int) -> None:
    await tx.execute(
        """
        DELETE FROM reason WHERE number IN (
            SELECT number FROM reason WHERE recorded_at < $1 ORDER BY recorded_at LIMIT $2
        )
        """,
        now - KEPT_FOR,
        limit,
    )


async def story(tx: Connection, event_or_thing: str) -> dict[str, Any]:
    """All that is known of who was told: each reason, what waits still, and the messages."""
    reasons = await of(tx, event_or_thing)
    things = sorted({reason["thing"] for reason in reasons})
    return {
        "reasons": reasons,
        "gathered": await gathered(tx, things),
        "messages": await messages(tx, things),
    }
