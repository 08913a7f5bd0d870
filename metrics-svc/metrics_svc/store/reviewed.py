"""Reviews by who did them: of whole days from a row each, the rest review by review.

A row of `reviewed_day` is a day in UTC of a repository of a service. It is kept up as changes and reviews are told of;
a long window reads days instead of reviews.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import TypeAlias

import msgspec
from asyncpg import Record

from metrics_svc.change_flow import is_human
from metrics_svc.flow.reviews import Reviews
from metrics_svc.question import Question
from metrics_svc.store.conditions import TYPED, of_flow, parameters, piece
from metrics_svc.store.flow import person_of
from metrics_svc.store.moving import REVIEWED_FOR
from metrics_svc.window import Window
from shared.catalog import Catalog
from shared.db import Connection

Day: TypeAlias = tuple[str, str, date]  # service, repository, day in UTC
Done: TypeAlias = tuple[str, str, str, int]  # platform, reviewer, their kind, reviews

# As the index of migration 0024 has it, word for word.
_REPOSITORY = "substring(r.change FROM '^[^:]*:(.*):[^:]*$')"
# Of a review `r` of a change `f`: what is said long after the change's end is none, and nobody reviews their own.
_COUNTS = f"""
    (f.ended_at IS NULL OR r.occurred_at <= f.ended_at + {REVIEWED_FOR})
    AND (NOT f.self_reviewed OR lower(r.author) IS DISTINCT FROM
         (SELECT lower(nullif(c.author, '')) FROM change c WHERE c.id = f.change))
"""  # noqa: S608  # constants
_DONE = msgspec.json.Decoder(list[list[Done]])


async def reviews(tx: Connection, question: Question, catalog: Catalog, _: datetime) -> list[Reviews]:
    """By humans, of somebody else's changes."""
    days = question.whole_days
    counted = [
        *await _of_days(tx, question, days),
        *await _one_by_one(tx, question, Window(question.span.start, days.start)),
        *await _one_by_one(tx, question, Window(days.end, question.span.end)),
    ]
    done: Counter[tuple[str, int, str]] = Counter()
    for (service, place, source, author, kind), number in _summed(counted).items():
        if is_human(author, kind, catalog):
            done[service, place, person_of(source, author, catalog)] += number
    return [
        Reviews(service=service, piece=place, reviewer=reviewer, done=number)
        for (service, place, reviewer), number in done.items()
    ]


async def refresh(tx: Connection, days: Sequence[Day]) -> None:
    """Counts these again."""
    await tx.execute(
        f"""
        WITH counted AS (
            SELECT dirty.*, found.reviews
            FROM unnest($1::text[], $2::text[], $3::date[]) AS dirty(service, repository, day)
            CROSS JOIN LATERAL (
                SELECT jsonb_agg(jsonb_build_array(source, author, author_kind, done)
                                 ORDER BY source, author, author_kind) AS reviews
                FROM (
                    SELECT r.source, r.author, r.author_kind, count(*) AS done
                    FROM ({_of_day("dirty", "NULL", "NULL")}) AS r
                    JOIN change_flow f ON f.change = r.change AND f.service || '' = dirty.service
                    WHERE {_COUNTS}
                    GROUP BY 1, 2, 3
                ) AS own
            ) AS found
        ), gone AS (
            DELETE FROM reviewed_day d USING counted c
            WHERE (d.service, d.day, d.repository) = (c.service, c.day, c.repository) AND c.reviews IS NULL
        )
        INSERT INTO reviewed_day AS d (service, day, repository, reviews)
        SELECT service, day, repository, reviews FROM counted WHERE reviews IS NOT NULL
        ORDER BY service, day, repository
        ON CONFLICT (service, day, repository) DO UPDATE SET reviews = excluded.reviews
        WHERE d.reviews <> excluded.reviews
        """,  # noqa: S608  # constants
        [service for service, _, _ in days],
        [repository for _, repository, _ in days],
        [day for _, _, day in days],
    )


async def _of_days(tx: Connection, question: Question, days: Window) -> list[Record]:
    return await tx.fetch(
        f"""
        SELECT d.service, {piece(question, "d.day::timestamp AT TIME ZONE 'UTC'")} AS piece,
               string_agg(d.reviews::text, ',') AS days
        FROM reviewed_day d
        WHERE {TYPED} AND d.service = ANY($1) AND d.day >= ($9 AT TIME ZONE 'UTC')::date
          AND d.day < ($10 AT TIME ZONE 'UTC')::date
        GROUP BY 1, 2
        """,  # noqa: S608  # constants
        *parameters(question),
        days.start,
        days.end,
    )


async def _one_by_one(tx: Connection, question: Question, span: Window) -> list[Record]:
    """Days tell which repositories had reviews at all."""
    if span.start >= span.end:
        return []
    return await tx.fetch(
        f"""
        SELECT service, piece, jsonb_agg(jsonb_build_array(source, author, author_kind, done))::text AS days
        FROM (
            SELECT d.service, {piece(question, "r.occurred_at")} AS piece, r.source, r.author, r.author_kind,
                   count(*) AS done
            FROM reviewed_day d
            CROSS JOIN LATERAL ({_of_day("d", "$9", "$10")}) AS r
            CROSS JOIN LATERAL (
                SELECT * FROM change_flow of WHERE (of.change, of.service) = (r.change, d.service) OFFSET 0
            ) AS f
            WHERE {TYPED} AND d.service = ANY($1) AND d.day >= ($9 AT TIME ZONE 'UTC')::date
              AND d.day <= ($10 AT TIME ZONE 'UTC')::date AND {_COUNTS} AND {of_flow(question)}
            GROUP BY 1, 2, 3, 4, 5
        ) AS found
        GROUP BY service, piece
        """,  # noqa: S608  # constants
        *parameters(question),
        span.start,
        span.end,
    )


def _of_day(of: str, start: str, end: str) -> str:
    """Of the repository and the day of this alias, and between these moments."""
    return f"""
        SELECT r.change, r.occurred_at, r.source, r.author, r.author_kind FROM review r
        WHERE {_REPOSITORY} = {of}.repository AND r.id NOT LIKE 'comment %'
          AND r.occurred_at >= greatest({start}, {of}.day::timestamp AT TIME ZONE 'UTC')
          AND r.occurred_at < least({end}, ({of}.day + 1)::timestamp AT TIME ZONE 'UTC')
        OFFSET 0
    """  # noqa: S608  # constants


def _summed(found: Iterable[Record]) -> Counter[tuple[str, int, str, str, str]]:
    summed: Counter[tuple[str, int, str, str, str]] = Counter()
    for row in found:
        for reviews_ in _DONE.decode(f"[{row['days']}]"):
            for source, author, kind, number in reviews_:
                summed[row["service"], row["piece"], source, author, kind] += number
    return summed
