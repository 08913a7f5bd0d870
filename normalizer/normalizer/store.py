"""All SQL of normalizer."""

from collections.abc import Sequence

from normalizer.disposition import Disposition, Events, Ignored, label
from shared.contracts.envelope import RawDelivery
from shared.db import Connection


async def archive(tx: Connection, translated: Sequence[tuple[RawDelivery, Disposition]]) -> list[Disposition]:
    """One row per source, delivery id and body, whichever way it came in how often; the body beside it.

    Returns the dispositions of those that were not there before.
    """
    rows = await tx.fetch(
        """
        INSERT INTO delivery (source, delivery, sha256, event, origin, stream_sequence, received_at, bytes,
                              disposition, reason, events)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[],
                             $7::timestamptz[], $8::int[], $9::text[], $10::text[], $11::int[])
        ON CONFLICT (source, delivery, sha256) DO NOTHING
        RETURNING id, source, delivery, sha256
        """,
        *_columns(translated),
    )
    new = {(row["source"], row["delivery"], row["sha256"]): row["id"] for row in rows}
    bodies = [
        (new.pop(key), delivery, disposition)
        for delivery, disposition in translated
        if (key := (delivery.source, delivery.delivery, delivery.sha256)) in new
    ]
    await tx.execute(
        """
        INSERT INTO body (delivery_id, received_at, content_type, body, body_sha256)
        SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::bytea[], $5::text[])
        """,
        [delivery_id for delivery_id, _, _ in bodies],
        [delivery.received_at for _, delivery, _ in bodies],
        [delivery.content_type for _, delivery, _ in bodies],
        [delivery.body if _keeps_body(disposition) else None for _, delivery, disposition in bodies],
        [delivery.sha256 for _, delivery, _ in bodies],
    )
    return [disposition for _, _, disposition in bodies]


async def bury(tx: Connection, delivery: RawDelivery, reason: str) -> None:
    """Archived or not before: it is dead now."""
    await tx.execute(
        """
        UPDATE delivery SET disposition = 'dead', reason = $4, events = 0
        WHERE source = $1 AND delivery = $2 AND sha256 = $3
        """,
        delivery.source,
        delivery.delivery,
        delivery.sha256,
        reason,
    )


def _columns(translated: Sequence[tuple[RawDelivery, Disposition]]) -> list[list[object]]:
    rows = [
        (
            delivery.source,
            delivery.delivery,
            delivery.sha256,
            delivery.event,
            delivery.origin,
            delivery.sequence,
            delivery.received_at,
            len(delivery.body),
            *label(disposition),
            len(disposition.events) if isinstance(disposition, Events) else 0,
        )
        for delivery, disposition in translated
    ]
    return [list(column) for column in zip(*rows, strict=True)]


def _keeps_body(disposition: Disposition) -> bool:
    return not isinstance(disposition, Ignored) or disposition.keeps_body


async def dispositions(tx: Connection) -> list[tuple[str, str, int]]:
    """How many deliveries ended how: (disposition, reason, count)."""
    rows = await tx.fetch(
        "SELECT disposition, reason, count(*) AS deliveries FROM delivery GROUP BY 1, 2 ORDER BY 1, 2"
    )
    return [(row["disposition"], row["reason"], row["deliveries"]) for row in rows]
