"""The inbox: which messages a consumer has handled, claimed in the transaction that handles them."""

from collections.abc import Sequence

from shared.db import Connection


async def claim(tx: Connection, *, consumer: str, message_ids: Sequence[str]) -> set[str]:
    """The ids not handled before. Concurrent claims of one id wait for each other here, on the key."""
    rows = await tx.fetch(
        """
        INSERT INTO inbox (consumer, message_id)
        SELECT $1, message_id FROM unnest($2::text[]) AS message_id ORDER BY message_id
        ON CONFLICT DO NOTHING RETURNING message_id
        """,
        consumer,
        list(message_ids),
    )
    return {row["message_id"] for row in rows}
