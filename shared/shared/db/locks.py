"""The lock protocol of law 4: facts first, then the locks of all touched entities, sorted, then derivation.

Two transactions that each insert one half of a pair and look for the other never see each other under READ
COMMITTED. Taken after the facts are written and before they are read, the lock makes whoever commits second see
the first; sorting keeps two batches from waiting for each other in a circle.
"""

from collections.abc import Iterable

from shared.db import Connection


async def lock(tx: Connection, namespace: str, keys: Iterable[str]) -> None:
    """Hold every key of the namespace until the transaction ends."""
    await tx.execute(
        """
        SELECT pg_advisory_xact_lock(number) FROM (
            SELECT DISTINCT hashtextextended($1 || ':' || key, 0) AS number FROM unnest($2::text[]) AS key
            ORDER BY number
        ) AS sorted
        """,
        namespace,
        list(keys),
    )
