"""What was shipped: samples of lead times and stages, of whole days from a row each, the rest change by change.

A row of `shipped_day` is a day in UTC of a service, with its samples packed and ascending. It is kept up as changes are
linked; a long window reads days instead of changes.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date

import msgspec

from metrics_svc.flow.stages import STAGES
from metrics_svc.question import Question
from metrics_svc.store.conditions import of_change, parameters, piece
from metrics_svc.store.known import NOW, known
from metrics_svc.store.packing import packed_in_order, unpacked_stored
from shared.db import Connection

LEAD_TIMES = "lead_times"
COMMIT_LEAD_TIMES = "commit_lead_times"
_COLUMNS = (LEAD_TIMES, COMMIT_LEAD_TIMES, *STAGES)
_MOMENTS = (
    *("l.first_commit_at", "f.ready_at", "f.first_review_at", "f.approved_at", "l.merged_at", "s.started_at"),
    "l.deployed_at",
)

# From links, of those for which a condition on `l` holds: a SELECT of `deployed_at` and of samples in seconds.
Rows = Callable[[str, str], str]


class Shipped(msgspec.Struct, frozen=True, kw_only=True):
    """Of a service in a piece of the window: by column, samples that ascend."""

    service: str
    piece: int
    samples: Mapping[str, Sequence[float]]


async def lead_times(tx: Connection, question: Question, min_confidence: float) -> list[Shipped]:
    return await _read(tx, question, _led, [LEAD_TIMES], min_confidence)


async def commit_lead_times(tx: Connection, question: Question, min_confidence: float) -> list[Shipped]:
    """Of the changes that have a lead time; a date after the deployment (clocks) is none."""
    return await _read(tx, question, _committed, [COMMIT_LEAD_TIMES], min_confidence)


async def stages(tx: Connection, question: Question) -> list[Shipped]:
    """Lead times, and the seconds of each stage that has both ends in order."""
    return await _read(tx, question, _staged, [LEAD_TIMES, *STAGES], min_confidence=0)


async def refresh(tx: Connection, days: Collection[tuple[str, date]]) -> None:
    """Packs these (service, day) again."""
    # In an order that one index alone has: of a table that nobody analyzed another one of services is as good a guess.
    on_day = f"""(
        SELECT * FROM {NOW.changes} l
        WHERE {_MEASURED} AND l.service = dirty.service AND l.deployed_at >= span.start AND l.deployed_at < span.stop
        ORDER BY l.deployed_at OFFSET 0
    )"""  # noqa: S608  # constants
    columns = ", ".join(f"{packed_in_order(f'own.{column}')} AS {column}" for column in (LEAD_TIMES, *STAGES))
    await tx.execute(
        f"""
        WITH packed AS (
            SELECT dirty.*, shipped.*, committed.*
            FROM unnest($1::text[], $2::date[]) AS dirty(service, day)
            CROSS JOIN LATERAL (
                SELECT day::timestamp AT TIME ZONE 'UTC' AS start, (day + 1)::timestamp AT TIME ZONE 'UTC' AS stop
            ) AS span
            CROSS JOIN LATERAL (SELECT {columns} FROM ({_staged(on_day, "true")}) AS own) AS shipped
            CROSS JOIN LATERAL (
                SELECT {packed_in_order(f"own.{COMMIT_LEAD_TIMES}")} AS {COMMIT_LEAD_TIMES}
                FROM ({_committed(on_day, "true")}) AS own
            ) AS committed
        ), gone AS (
            DELETE FROM shipped_day d USING packed p
            WHERE (d.service, d.day) = (p.service, p.day) AND p.{LEAD_TIMES} = ''
        )
        INSERT INTO shipped_day AS d (service, day, {_listed()})
        SELECT service, day, {_listed()} FROM packed WHERE {LEAD_TIMES} <> '' ORDER BY service, day
        ON CONFLICT (service, day) DO UPDATE SET ({_listed()}) = ({_listed("excluded.")})
        WHERE ({_listed("d.")}) IS DISTINCT FROM ({_listed("excluded.")})
        """,  # noqa: S608  # constants
        [service for service, _ in days],
        [day for _, day in days],
    )


async def _read(
    tx: Connection, question: Question, rows: Rows, columns: Sequence[str], min_confidence: float
) -> list[Shipped]:
    """Of a question that days don't tell of, the days are none, and what is before them is all."""
    source, days = await known(tx, question), question.whole_days
    condition = f"l.service = asked.service AND l.confidence >= $9::float8 - 0.001 AND {of_change(question)}"
    before = rows(source.changes, f"{condition} AND l.deployed_at >= $2 AND l.deployed_at < $10")
    after = rows(source.changes, f"{condition} AND l.deployed_at >= $11 AND l.deployed_at < $3")
    single = ", ".join(f"CASE WHEN {column} >= 0 THEN float8send({column}) END AS {column}" for column in columns)
    of_change_ = f"SELECT {piece(question, 'deployed_at')} AS piece, {single}"
    found = await tx.fetch(
        f"""
        SELECT asked.service, found.* FROM unnest($1::text[]) AS asked(service) CROSS JOIN LATERAL (
            SELECT piece, {", ".join(f"string_agg({column}, '') AS {column}" for column in columns)} FROM (
                SELECT {piece(question, "d.day::timestamp AT TIME ZONE 'UTC'")} AS piece, {", ".join(columns)}
                FROM shipped_day d
                WHERE d.service = asked.service AND d.day >= ($10 AT TIME ZONE 'UTC')::date
                  AND d.day < ($11 AT TIME ZONE 'UTC')::date
                UNION ALL {of_change_} FROM ({before}) AS own
                UNION ALL {of_change_} FROM ({after}) AS own
            ) AS part
            GROUP BY piece
        ) AS found
        """,  # noqa: S608  # constants
        *parameters(question),
        min_confidence,
        days.start,
        days.end,
    )
    return [
        Shipped(
            service=row["service"],
            piece=row["piece"],
            samples={column: unpacked_stored(row[column]) for column in columns},
        )
        for row in found
    ]


# ---- which samples -----------------------------------------------------------------------------------------------

_MEASURED = "l.deployment IS NOT NULL AND l.lead_time_s IS NOT NULL"


def _led(links: str, condition: str) -> str:
    return f"SELECT l.deployed_at, l.lead_time_s AS {LEAD_TIMES} FROM {links} l WHERE {_MEASURED} AND {condition}"  # noqa: S608  # constants


def _committed(links: str, condition: str) -> str:
    """`date_part` counts in float8, `extract` in numeric, which takes longer than all the rest here."""
    return f"""
        SELECT own.deployed_at, date_part('epoch', own.deployed_at - own.authored_at) AS {COMMIT_LEAD_TIMES} FROM (
            SELECT l.deployed_at, unnest(l.commit_times) AS authored_at FROM {links} l
            WHERE {_MEASURED} AND {condition}
        ) AS own
    """  # noqa: S608  # constants


def _staged(links: str, condition: str) -> str:
    seconds = (f"date_part('epoch', {_MOMENTS[n + 1]} - {_MOMENTS[n]}) AS {stage}" for n, stage in enumerate(STAGES))
    return f"""
        SELECT l.deployed_at, l.lead_time_s AS {LEAD_TIMES}, {", ".join(seconds)}
        FROM {links} l JOIN change_flow f ON f.change = l.change AND f.service || '' = l.service
        JOIN deployment s ON s.id = l.deployment
        WHERE {_MEASURED} AND {condition}
    """  # noqa: S608  # constants


def _listed(alias: str = "") -> str:
    return ", ".join(f"{alias}{column}" for column in _COLUMNS)
