"""What the last comparison of the ledger found, where normalizer reads it for its metrics."""

from shared.db import Connection


async def note(tx: Connection, *, raw: int, events: int, lost: int) -> None:
    """Counts of places of RAW and of deliveries without events, unaccounted for, and of what nobody can restore."""
    await tx.executemany(
        """
        INSERT INTO ledger_check (part, mismatch, checked_at) VALUES ($1, $2, clock_timestamp())
        ON CONFLICT (part) DO UPDATE SET mismatch = excluded.mismatch, checked_at = excluded.checked_at
        """,
        [("raw", raw), ("events", events), ("lost", lost)],
    )
