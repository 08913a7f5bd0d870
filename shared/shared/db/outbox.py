"""The outbox: messages written with the state that they tell of, published by the relay after the commit."""

from collections.abc import Sequence

import msgspec

from shared.contracts.envelope import Outgoing
from shared.db import Connection, Pool


async def add(tx: Connection, messages: Sequence[Outgoing]) -> None:
    """Twice equals once: a message id that is already there stays as it is."""
    await tx.execute(
        """
        INSERT INTO outbox (message_id, subject, body, headers)
        SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[])
        ON CONFLICT (message_id) DO NOTHING
        """,
        [message.message_id for message in messages],
        [message.subject for message in messages],
        [message.body for message in messages],
        [msgspec.json.encode(message.headers) for message in messages],
    )


async def oldest(tx: Connection, *, limit: int) -> list[Outgoing]:
    """Unpublished messages that no other relay holds, oldest first; held until the transaction ends."""
    rows = await tx.fetch(
        "SELECT subject, body, headers FROM outbox ORDER BY sequence LIMIT $1 FOR UPDATE SKIP LOCKED", limit
    )
    return [
        Outgoing(subject=row["subject"], body=row["body"], headers=msgspec.json.decode(row["headers"])) for row in rows
    ]


async def remove(tx: Connection, message_ids: Sequence[str]) -> None:
    await tx.execute("DELETE FROM outbox WHERE message_id = ANY($1::text[])", list(message_ids))


async def oldest_seconds(tx: Connection | Pool) -> float:
    """Age of the message that waits longest to be published; zero when none does."""
    age: float = await tx.fetchval(
        "SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0)::float8 FROM outbox"
    )
    return age
