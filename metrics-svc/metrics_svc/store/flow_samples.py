"""The samples behind the metrics of changes, by service and piece of the window, from indexes alone.

The items of `store.flow` are the same, change by change.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

import msgspec

from metrics_svc.flow import changes, progress
from metrics_svc.flow.samples import ChangeSamples
from metrics_svc.flow.stages import STAGES
from metrics_svc.question import Question
from metrics_svc.store import shipped
from metrics_svc.store.conditions import TYPED, of_flow, parameters
from metrics_svc.store.moving import moving
from metrics_svc.store.packing import packed, packed_moments, unpacked, unpacked_moments
from metrics_svc.store.shipped import LEAD_TIMES
from shared.catalog.changes import SIZE_LIMITS, SIZES
from shared.db import Connection

# Parameters $1 to $9 of the statements: services, start, end, starts of the pieces, environment, repository, label,
# the author's class and accounts, and the ends of the pieces that have begun, now at the latest. `width_bucket` numbers
# the pieces from 1.
#
# As in `store.samples`, a filter that nobody asked for does not name its column, and each service is read for itself.
INT_MAX = 2**31 - 1
_LAST = "($9::timestamptz[])[cardinality($9::timestamptz[])]"


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """`rows` is a SELECT of `piece` and of what `samples` and `counts`, by the part of the metric, are made from.

    A sample that is null or negative is left out. With `moments` samples are timestamps.
    """

    rows: Callable[[Question], str]
    samples: Mapping[str, str] = {}
    counts: Mapping[str, str] = {}
    moments: bool = False


async def change_samples(tx: Connection, question: Question, metric: str, now: datetime) -> list[ChangeSamples]:
    reading = READINGS[metric]
    samples = map(packed_moments if reading.moments else packed, reading.samples.values())
    counts = (f"(count(*) FILTER (WHERE {condition}))::int" for condition in reading.counts.values())
    # Of a whole window nothing is sorted by the piece.
    piece, grouped = ("piece", "GROUP BY piece") if question.grain else ("0 AS piece", "HAVING count(*) > 0")
    rows = await tx.fetch(
        f"""
        SELECT asked.service, found.* FROM unnest($1::text[]) AS asked(service) CROSS JOIN LATERAL (
            SELECT {", ".join((piece, "count(*)::int AS n", *samples, *counts))}
            FROM ({reading.rows(question)}) AS moved
            {grouped}
        ) AS found
        WHERE {TYPED} AND num_nulls($9::timestamptz[]) >= 0
        """,  # noqa: S608  # constants
        *_parameters(question, now),
    )
    return [_found(reading, *row.values()) for row in rows]


async def shipped_samples(tx: Connection, question: Question) -> list[ChangeSamples]:
    """Lead times as the whole, and each stage as a part."""
    return [
        ChangeSamples(
            service=each.service,
            piece=each.piece,
            n=len(each.samples[LEAD_TIMES]),
            samples={"": each.samples[LEAD_TIMES], **{stage: each.samples[stage] for stage in STAGES}},
        )
        for each in await shipped.stages(tx, question)
    ]


def _found(reading: Reading, service: str, piece: int, n: int, *parts: object) -> ChangeSamples:
    read = unpacked_moments if reading.moments else unpacked
    return ChangeSamples(
        service=service,
        piece=piece,
        n=n,
        samples=dict(zip(reading.samples, map(read, parts), strict=False)),  # type: ignore[arg-type]
        counts=dict(zip(reading.counts, parts[len(reading.samples) :], strict=True)),  # type: ignore[arg-type]
    )


# ---- which rows --------------------------------------------------------------------------------------------------


def _merged(question: Question) -> str:
    return f"""
        SELECT {_piece(question, "f.ended_at")} AS piece, f.lines, f.review_rounds FROM change_flow f
        WHERE f.service = asked.service AND f.ended_at >= $2 AND f.ended_at < $3 AND f.merged_at IS NOT NULL
          AND {of_flow(question)}
    """  # noqa: S608  # constants


def _reviewed(question: Question) -> str:
    return _moving(
        "$2",
        "$3",
        f"{_piece(question, 'f.first_review_at')} AS piece, {_seconds('f.ready_at', 'f.first_review_at')} AS s",
        f"f.first_review_at >= $2 AND f.first_review_at < $3 AND {of_flow(question)}",
    )


def _approved(question: Question) -> str:
    return _moving(
        "$2",
        "$3",
        f"{_piece(question, 'f.approved_at')} AS piece, {_seconds('f.first_review_at', 'f.approved_at')} AS s",
        f"f.approved_at >= $2 AND f.approved_at < $3 AND {of_flow(question)}",
    )


def _moments(question: Question) -> str:
    """When changes in progress were ready, and ended; all together, since they may be in progress in many pieces."""
    ended = "CASE WHEN f.ended_at IS NOT NULL THEN greatest(f.ended_at, f.ready_at) END"
    return _moving(
        "$2",
        "$3",
        f"0 AS piece, f.ready_at AS ready, {ended} AS ended",
        f"f.ready_at < $3 AND {_waits(question)}",
    )


def _open_at_ends(question: Question) -> str:
    """Once for each piece at whose end it was open, if that is in the span of the question."""
    rows = _moving(
        "($9::timestamptz[])[1]",
        _LAST,
        "f.ready_at, width_bucket(f.ready_at, $9::timestamptz[]) AS first,"
        " coalesce(width_bucket(f.ended_at, $9::timestamptz[]), cardinality($9::timestamptz[])) - 1 AS last",
        f"f.ready_at < {_LAST} AND {_waits(question)}",
    )
    return f"""
        SELECT piece, date_part('epoch', ($9::timestamptz[])[piece + 1] - ready_at) AS s
        FROM ({rows}) AS f CROSS JOIN LATERAL generate_series(first, last) AS piece
        WHERE ($9::timestamptz[])[piece + 1] > $2 AND ($9::timestamptz[])[piece + 1] <= $3
    """  # noqa: S608  # constants


def _left_alone(question: Question) -> str:
    """When it ended, and while it is open at the end of the last piece that has begun."""
    still = _moving(
        _LAST,
        _LAST,
        f"cardinality($9::timestamptz[]) - 1 AS piece, {_seconds('f.last_activity_at', _LAST)} AS s",
        f"f.ready_at < {_LAST} AND {_LAST} > $2 AND {_LAST} <= $3 AND {_waits(question)}",
    )
    return f"""
        SELECT {_piece(question, "f.ended_at")} AS piece, {_seconds("f.last_activity_at", "f.ended_at")} AS s
        FROM change_flow f
        WHERE f.service = asked.service AND f.ended_at >= $2 AND f.ended_at < $3 AND f.ready_at < $3
          AND {_waits(question)}
        UNION ALL {still}
    """  # noqa: S608  # constants


def _moving(start: str, end: str, columns: str, condition: str) -> str:
    return f"SELECT {columns} FROM {moving(start, end)} AS f WHERE f.service = asked.service AND {condition}"  # noqa: S608  # constants


def _waits(question: Question) -> str:
    """Bots' changes wait for nobody."""
    return f"f.author_class <> 'bot' AND {of_flow(question)}"


def _piece(question: Question, moment: str) -> str:
    return f"width_bucket({moment}, $4::timestamptz[]) - 1" if question.grain else "0"


def _seconds(start: str, end: str) -> str:
    """`date_part` counts in float8; `extract` does in numeric, which takes longer than all the rest."""
    return f"date_part('epoch', {end} - {start})"


def _parameters(question: Question, now: datetime) -> tuple[object, ...]:
    return (
        *parameters(question),
        [min(piece.end, now) for piece in question.buckets if piece.start < now],
    )


def _sizes() -> Iterator[tuple[str, str]]:
    """As `size_of` says: beyond the limit of the one before, up to and with its own."""
    below = -1
    for size in SIZES:
        limit = SIZE_LIMITS.get(size, INT_MAX)
        yield size, f"lines BETWEEN {below + 1} AND {limit}"
        below = limit


READINGS: Mapping[str, Reading] = {
    progress.WIP: Reading(rows=_moments, samples={progress.READY: "ready", progress.ENDED: "ended"}, moments=True),
    progress.AGE: Reading(rows=_open_at_ends, samples={"": "s"}),
    progress.IDLE_TIME: Reading(rows=_left_alone, samples={"": "s"}),
    changes.PICKUP_TIME: Reading(rows=_reviewed, samples={"": "s"}),
    changes.REVIEW_TIME: Reading(rows=_approved, samples={"": "s"}),
    changes.THROUGHPUT: Reading(rows=_merged, counts=dict(_sizes())),
    changes.REWORK_CYCLES: Reading(rows=_merged, samples={"": "review_rounds::float8"}),
    changes.SIZE: Reading(rows=_merged, samples={"": "lines::float8"}),
}
