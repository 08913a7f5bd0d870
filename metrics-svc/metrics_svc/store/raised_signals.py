"""Which signals are raised, as it was told last: one that is there still is no news."""

from collections.abc import Sequence

from metrics_svc.flow.signals import Signal
from shared.db import Connection, locks


async def replace(tx: Connection, raised: Sequence[Signal]) -> set[tuple[str, str]]:
    """Those that were not raised before, by (kind, subject). Under `lock`."""
    kinds, subjects = [each.kind for each in raised], [each.subject for each in raised]
    await tx.execute(
        """
        DELETE FROM raised_signal
        WHERE (kind, subject) NOT IN (SELECT * FROM unnest($1::text[], $2::text[]))
        """,
        kinds,
        subjects,
    )
    rows = await tx.fetch(
        """
        INSERT INTO raised_signal (kind, subject) SELECT DISTINCT * FROM unnest($1::text[], $2::text[])
        ON CONFLICT DO NOTHING RETURNING kind, subject
        """,
        kinds,
        subjects,
    )
    return {(row["kind"], row["subject"]) for row in rows}


async def lock(tx: Connection) -> None:
    """Two that look at once would each undo what the other found."""
    await locks.lock(tx, "raised_signal", ["all"])
