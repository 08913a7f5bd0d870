"""The waiting room of a consumer: messages off the stream that it, and it alone, handles later."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from shared.db import Connection, Pool


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A message as its stream held it; `stored_at` is when the stream got it."""

    consumer: str
    sequence: int
    subject: str
    headers: dict[str, str]
    body: bytes
    stored_at: datetime
    reason: str


async def add(tx: Connection | Pool, rows: Sequence[Row], *, due_in: timedelta = timedelta()) -> None:
    """Twice equals once: what waits already is only due at the new time."""
    await tx.execute(
        """
        INSERT INTO waiting (consumer, sequence, subject, headers, body, stored_at, reason, due_at)
        SELECT *, now() + $8 FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bytea[], $5::bytea[],
                                         $6::timestamptz[], $7::text[])
        ON CONFLICT (consumer, sequence) DO UPDATE SET due_at = excluded.due_at, reason = excluded.reason
        """,
        [row.consumer for row in rows],
        [row.sequence for row in rows],
        [row.subject for row in rows],
        [msgspec.json.encode(row.headers) for row in rows],
        [row.body for row in rows],
        [row.stored_at for row in rows],
        [row.reason for row in rows],
        due_in,
    )


async def take(tx: Connection | Pool, *, consumer: str, limit: int, lease: timedelta) -> list[Row]:
    """Rows that are due and whose subject is not paused, oldest first; nobody else gets them for the lease."""
    rows = await tx.fetch(
        """
        UPDATE waiting SET due_at = now() + $3
        WHERE (consumer, sequence) IN (
            SELECT consumer, sequence FROM waiting AS due
            WHERE consumer = $1 AND due_at <= now()
              AND NOT EXISTS (SELECT FROM paused WHERE paused.consumer = $1 AND paused.subject = due.subject)
            ORDER BY due_at, sequence LIMIT $2 FOR UPDATE SKIP LOCKED
        )
        RETURNING consumer, sequence, subject, headers, body, stored_at, reason
        """,
        consumer,
        limit,
        lease,
    )
    return [_row(row) for row in sorted(rows, key=lambda row: row["sequence"])]


async def remove(tx: Connection | Pool, *, consumer: str, sequence: int) -> None:
    await tx.execute("DELETE FROM waiting WHERE consumer = $1 AND sequence = $2", consumer, sequence)


async def delay(tx: Connection | Pool, *, consumer: str, sequence: int, due_in: timedelta) -> None:
    """Extend a lease, or give it back early with zero."""
    await tx.execute(
        "UPDATE waiting SET due_at = now() + $3 WHERE consumer = $1 AND sequence = $2", consumer, sequence, due_in
    )


def _row(row: object) -> Row:
    values = dict(row)  # type: ignore[call-overload]
    return Row(**{**values, "headers": msgspec.json.decode(values["headers"])})
