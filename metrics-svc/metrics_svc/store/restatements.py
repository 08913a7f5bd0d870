"""What a day was, what it became, when that was known, and which deliveries caused it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from metrics_svc.store.paging import Wanted
from shared.db import Connection

NUMBERS = ("deployments", "failed", "rework", "lead_n", "lead_p50_s", "recovery_n", "recovery_p50_s")


async def restatements(
    tx: Connection, services: Sequence[str], since: datetime, until: datetime, wanted: Wanted
) -> list[Mapping[str, Any]]:
    """Every change of a bucket known in [since, until), oldest first; `old` or `new` is null where there was none."""
    rows = await tx.fetch(
        """
        WITH version AS (
            SELECT service, environment, day, known_from, NULL::timestamptz AS known_until, causes,
                   to_jsonb(b) AS numbers
            FROM bucket b WHERE service = ANY($1)
            UNION ALL
            SELECT service, environment, day, known_from, known_until, causes, to_jsonb(p) FROM bucket_past p
            WHERE service = ANY($1)
        ), change AS (
            SELECT v.known_from AS at, v.service, v.environment, v.day, before.numbers AS old, v.numbers AS new,
                   v.causes
            FROM version v
            LEFT JOIN version before ON (before.service, before.environment, before.day, before.known_until)
                                      = (v.service, v.environment, v.day, v.known_from)
            UNION ALL
            SELECT v.known_until, v.service, v.environment, v.day, v.numbers, NULL, '{}' FROM version v
            WHERE v.known_until IS NOT NULL AND NOT EXISTS (
                SELECT FROM version after WHERE (after.service, after.environment, after.day, after.known_from)
                                              = (v.service, v.environment, v.day, v.known_until))
        )
        SELECT at, concat_ws(':', service, environment, day) AS id, service, environment, day, old, new, causes
        FROM change
        WHERE at >= $2 AND at < $3
          AND ($4::timestamptz IS NULL OR (at, concat_ws(':', service, environment, day)) > ($4, $5::text))
        ORDER BY 1, 2 LIMIT $6
        """,
        list(services),
        since,
        until,
        wanted.after.at if wanted.after else None,
        wanted.after.id if wanted.after else None,
        wanted.limit,
    )
    return [_plain(dict(row)) for row in rows]


def _plain(row: dict[str, Any]) -> Mapping[str, Any]:
    for side in ("old", "new"):
        numbers = msgspec.json.decode(row[side]) if row[side] else None
        row[side] = {name: numbers[name] for name in NUMBERS} if numbers else None
    return row
