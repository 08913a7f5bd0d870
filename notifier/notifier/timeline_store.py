"""All SQL of what happened to incidents, row by row."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from shared.db import Connection


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """`who`: a person's name, "" where nobody is known. Slack tells whole seconds: then what came first counts."""

    thing: str
    id: str
    at: datetime
    received_at: datetime
    who: str
    said: str


async def record(tx: Connection, rows: Sequence[Row]) -> None:
    await tx.execute(
        """
        INSERT INTO incident_row (thing, id, at, received_at, who, said)
        SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[])
        ON CONFLICT DO NOTHING
        """,
        [row.thing for row in rows],
        [row.id for row in rows],
        [row.at for row in rows],
        [row.received_at for row in rows],
        [row.who for row in rows],
        [row.said for row in rows],
    )


async def last(tx: Connection, thing: str, *, limit: int) -> list[Row]:
    """In the order of time."""
    rows = await tx.fetch(
        """
        SELECT thing, id, at, received_at, who, said FROM incident_row WHERE thing = $1
        ORDER BY at DESC, received_at DESC, id DESC LIMIT $2
        """,
        thing,
        limit,
    )
    return [Row(**row) for row in reversed(rows)]
