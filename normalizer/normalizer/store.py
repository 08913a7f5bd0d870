"""All SQL of normalizer."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from normalizer.disposition import Disposition, Events, Ignored, label
from shared.contracts.envelope import RawDelivery
from shared.db import Connection


async def archive(tx: Connection, translated: Sequence[tuple[RawDelivery, Disposition]]) -> list[Disposition]:
    """One row per source, delivery id and body, whichever way it came in how often; the body beside it.

    A row that was dead takes the new disposition: its dead letter was replayed. Places in RAW that hold a delivery
    again are remembered, those of the same batch too. Returns the dispositions of those that were not there, or dead,
    before. Keys are written in their order, so that two processes with the same deliveries don't lock each other out.
    """
    first = {_key(delivery): (delivery, disposition) for delivery, disposition in reversed(translated)}
    rows = await tx.fetch(
        """
        INSERT INTO delivery (source, delivery, sha256, event, origin, stream_sequence, received_at, bytes,
                              name, sent, disposition, reason, events)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[],
                             $7::timestamptz[], $8::int[], $9::text[], $10::text[], $11::text[], $12::text[],
                             $13::int[])
        ON CONFLICT (source, delivery, sha256) DO UPDATE
        SET disposition = excluded.disposition, reason = excluded.reason, events = excluded.events
        WHERE delivery.disposition = 'dead'
        RETURNING id, source, delivery, sha256
        """,
        *_columns([first[key] for key in sorted(first)]),
    )
    await _remember_duplicates(tx, translated)
    new = {(row["source"], row["delivery"], row["sha256"]): row["id"] for row in rows}
    bodies = [
        (new.pop(key), delivery, disposition) for delivery, disposition in translated if (key := _key(delivery)) in new
    ]
    await tx.execute(
        """
        INSERT INTO body (delivery_id, received_at, content_type, body, body_sha256)
        SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::text[], $4::bytea[], $5::text[])
        ON CONFLICT DO NOTHING
        """,
        [delivery_id for delivery_id, _, _ in bodies],
        [delivery.received_at for _, delivery, _ in bodies],
        [delivery.content_type for _, delivery, _ in bodies],
        [delivery.body if _keeps_body(disposition) else None for _, delivery, disposition in bodies],
        [delivery.sha256 for _, delivery, _ in bodies],
    )
    return [disposition for _, _, disposition in bodies]


def _key(delivery: RawDelivery) -> tuple[str, str, str]:
    return delivery.source, delivery.delivery, delivery.sha256


async def _remember_duplicates(tx: Connection, translated: Sequence[tuple[RawDelivery, Disposition]]) -> None:
    await tx.execute(
        """
        INSERT INTO duplicate (stream_sequence, delivery_id)
        SELECT seen.stream_sequence, delivery.id
        FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[])
             AS seen (source, delivery, sha256, stream_sequence)
        JOIN delivery USING (source, delivery, sha256)
        WHERE delivery.stream_sequence <> seen.stream_sequence
        ON CONFLICT (stream_sequence) DO UPDATE SET delivery_id = excluded.delivery_id, seen_at = now()
        """,
        [delivery.source for delivery, _ in translated],
        [delivery.delivery for delivery, _ in translated],
        [delivery.sha256 for delivery, _ in translated],
        [delivery.sequence for delivery, _ in translated],
    )


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
            delivery.name,
            delivery.sent,
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


async def missing_sequences(tx: Connection, *, first: int, last: int, since: datetime) -> list[int]:
    """Places of RAW in [first, last] that no row accounts for; `since` is when this RAW was made (it may be a new one).

    Reads that range of two indexes, whatever the archive holds.
    """
    rows = await tx.fetch(
        """
        SELECT place FROM generate_series($1::bigint, $2::bigint) AS place
        WHERE NOT EXISTS (
                SELECT FROM delivery WHERE stream_sequence = place AND archived_at >= $3)
          AND NOT EXISTS (
                SELECT FROM duplicate WHERE stream_sequence = place AND seen_at >= $3)
        ORDER BY place
        """,
        first,
        last,
        since,
    )
    return [row["place"] for row in rows]


async def ledger_checks(tx: Connection) -> list[tuple[str, int, float]]:
    """(part, mismatch, when in epoch seconds) of the last comparison, which `em` made."""
    rows = await tx.fetch("SELECT part, mismatch, extract(epoch FROM checked_at)::float8 AS at FROM ledger_check")
    return [(row["part"], row["mismatch"], row["at"]) for row in rows]


class Rebuild(msgspec.Struct, frozen=True, kw_only=True):
    """A job that is not yet said; `archive_id` is the last delivery that was."""

    job: int
    service: str
    archive_id: int


async def open_rebuild(tx: Connection) -> Rebuild | None:
    """Nobody else works on it until the transaction ends."""
    row = await tx.fetchrow(
        "SELECT job, service, archive_id FROM rebuild WHERE state = 'running' ORDER BY job LIMIT 1"
        " FOR UPDATE SKIP LOCKED"
    )
    return Rebuild(**row) if row else None


async def archived_after(tx: Connection, archive_id: int, *, limit: int) -> list[tuple[int, RawDelivery]]:
    """(id, delivery) in the order of the archive, of those whose body was kept; origin `replay`."""
    rows = await tx.fetch(
        """
        SELECT id, source, event, delivery, sha256, received_at, name, sent, content_type, body
        FROM delivery JOIN LATERAL (
            SELECT content_type, body FROM body
            WHERE body.received_at = delivery.received_at AND body.delivery_id = delivery.id
        ) AS kept ON kept.body IS NOT NULL
        WHERE id > $1 ORDER BY id LIMIT $2
        """,
        archive_id,
        limit,
    )
    return [
        (row["id"], RawDelivery(**{name: value for name, value in row.items() if name != "id"}, origin="replay"))
        for row in rows
    ]


async def advance_rebuild(
    tx: Connection, rebuild: Rebuild, *, archive_id: int, deliveries: int, events: int, untranslatable: int
) -> None:
    await tx.execute(
        """
        UPDATE rebuild SET archive_id = $2, deliveries = deliveries + $3, events = events + $4,
                           untranslatable = untranslatable + $5
        WHERE job = $1
        """,
        rebuild.job,
        archive_id,
        deliveries,
        events,
        untranslatable,
    )


async def end_rebuild(tx: Connection, rebuild: Rebuild) -> None:
    await tx.execute("UPDATE rebuild SET state = 'said' WHERE job = $1", rebuild.job)
