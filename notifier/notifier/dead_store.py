"""All SQL of messages that were given up, for whoever looks and has them tried again."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from shared.db import Connection

# Of these it isn't known whether they were posted: they are looked for before they are sent again.
IN_DOUBT = "unrecognised:"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Empty and None match everything; `reason` is part of the error."""

    keys: tuple[str, ...] = ()
    channel: str = ""
    reason: str = ""
    since: datetime | None = None


_WANTED = """
    state = 'dead' AND (cardinality($1::text[]) = 0 OR key = ANY($1)) AND ($2 = '' OR channel = $2 OR channel_id = $2)
    AND ($3 = '' OR position(lower($3) IN lower(last_error)) > 0)
    AND ($4::timestamptz IS NULL OR coalesce(started_at, created_at) >= $4)
"""


async def find(tx: Connection, wanted: Wanted, *, limit: int | None = None) -> list[dict[str, Any]]:
    """Latest first."""
    rows = await tx.fetch(
        f"""
        SELECT key, channel, coalesce(started_at, created_at) AS died_at, attempt AS tries, last_error AS reason
        FROM message WHERE {_WANTED} ORDER BY 3 DESC, key LIMIT $5
        """,  # noqa: S608  # a constant
        *_arguments(wanted),
        limit,
    )
    return [dict(row) for row in rows]


async def content(tx: Connection, key: str) -> str | None:
    """What the message tells, as JSON; None for an unknown one."""
    found: str | None = await tx.fetchval(
        """
        SELECT coalesce(message.content, thing.content)::text
        FROM message LEFT JOIN thing ON thing.key = message.thing WHERE message.key = $1
        """,
        key,
    )
    return found


async def revive(tx: Connection, wanted: Wanted) -> Sequence[str]:
    """Have them tried again under the delivery ids that they had, so that none is posted twice. Returns their keys."""
    rows = await tx.fetch(
        f"""
        UPDATE message SET
            state = CASE WHEN ts IS NULL AND starts_with(last_error, '{IN_DOUBT}') THEN 'unknown' ELSE 'ready' END,
            failures = 0, misses = 0, text_only = false, not_before = now()
        WHERE {_WANTED} RETURNING key
        """,  # noqa: S608  # constants
        *_arguments(wanted),
    )
    return sorted(row["key"] for row in rows)


def _arguments(wanted: Wanted) -> tuple[object, ...]:
    return list(wanted.keys), wanted.channel, wanted.reason, wanted.since
