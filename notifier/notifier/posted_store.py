"""All SQL of who waits to hear where a message was posted."""

from collections.abc import Sequence

import msgspec

from shared.db import Connection


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """`message` is settled: shown, dry_run or dead."""

    message: str
    state: str
    channel_id: str | None
    ts: str | None
    last_error: str
    channel: str
    recipient: str


async def expect(tx: Connection, expected: Sequence[tuple[str, str, str]]) -> None:
    """Message, channel where it was asked for, and who did."""
    await tx.execute(
        """
        INSERT INTO expected (message, channel, recipient) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
        ON CONFLICT DO NOTHING
        """,
        *([row[column] for row in expected] for column in range(3)),
    )


async def settled(tx: Connection, *, limit: int) -> list[Waiting]:
    """Whose message has come to an end."""
    rows = await tx.fetch(
        """
        SELECT message, state, channel_id, ts, last_error, expected.channel, recipient
        FROM expected JOIN message ON message.key = expected.message
        WHERE NOT told AND state IN ('shown', 'dry_run', 'dead') ORDER BY message LIMIT $1
        """,
        limit,
    )
    return [Waiting(**row) for row in rows]


async def told(tx: Connection, message: str) -> bool:
    """True for the one that is to say so."""
    return bool(
        await tx.fetchval("UPDATE expected SET told = true WHERE message = $1 AND NOT told RETURNING true", message)
    )
