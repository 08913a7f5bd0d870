"""Tries alone of suspect messages, counted before each try so that a crash counts too."""

from collections.abc import Sequence

from shared.db import Connection, Pool


class Attempts:
    """The tries of one consumer's messages, by their sequence."""

    def __init__(self, pool: Pool, *, consumer: str) -> None:
        self._pool = pool
        self._consumer = consumer

    async def begin(self, sequence: int) -> int:
        """Count one more try, committed at once; returns which it is, from 1."""
        tries: int = await self._pool.fetchval(
            """
            INSERT INTO attempt (consumer, sequence, tries) VALUES ($1, $2, 1)
            ON CONFLICT (consumer, sequence) DO UPDATE SET tries = attempt.tries + 1, last_at = now()
            RETURNING tries
            """,
            self._consumer,
            sequence,
        )
        return tries

    async def uncharge(self, sequence: int) -> None:
        """The try failed by nobody's fault."""
        await self._pool.execute(
            "UPDATE attempt SET tries = tries - 1 WHERE consumer = $1 AND sequence = $2", self._consumer, sequence
        )

    async def explain(self, sequence: int, reason: str) -> None:
        await self._pool.execute(
            "UPDATE attempt SET reason = $3 WHERE consumer = $1 AND sequence = $2", self._consumer, sequence, reason
        )

    async def reason(self, sequence: int) -> str:
        """Why the last try failed; empty when no try lived to tell."""
        found: str | None = await self._pool.fetchval(
            "SELECT reason FROM attempt WHERE consumer = $1 AND sequence = $2", self._consumer, sequence
        )
        return found or ""

    async def forget(self, sequence: int, tx: Connection | None = None) -> None:
        await (tx or self._pool).execute(
            "DELETE FROM attempt WHERE consumer = $1 AND sequence = $2", self._consumer, sequence
        )

    async def failed_before(self, sequences: Sequence[int]) -> set[int]:
        rows = await self._pool.fetch(
            "SELECT sequence FROM attempt WHERE consumer = $1 AND sequence = ANY($2::bigint[])",
            self._consumer,
            list(sequences),
        )
        return {row["sequence"] for row in rows}
