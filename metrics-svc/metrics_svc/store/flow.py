"""How changes moved, change by change, in pages: the numbers of `store.flow_samples` are computed from the same."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from metrics_svc.change_flow import is_human
from metrics_svc.flow.signals import OpenChange
from metrics_svc.flow.stages import MOMENTS, flat, stages
from metrics_svc.question import Question
from metrics_svc.store.conditions import written_by
from metrics_svc.store.moving import REVIEWED_FOR, moving
from metrics_svc.store.paging import ALL, Row, Wanted, page_of, place_of
from shared.catalog import Catalog
from shared.db import Connection

# Parameters $1 to $9 of the statements: services, start, end, repository, label, the author's class and accounts, and
# those of a page.
_ASKED = f"""
    f.service = ANY($1) AND ($4::text IS NULL OR f.repository = $4) AND ($5::text IS NULL OR $5 = ANY(c.labels))
    AND (($6::text[])[1] IS NULL OR f.author_class = ($6::text[])[1])
    AND (cardinality($6::text[]) = 1 OR {written_by("f.change", 6)})
"""
_MOVING = f"{moving('$2', '$3')} AS f JOIN change c ON c.id = f.change"
_CHANGE = "f.service, c.id, c.source, f.repository, c.number, c.title, c.url, f.author_class, f.size, c.delivery"
_NAME = "c.id || ' ' || f.service"


async def in_progress(tx: Connection, question: Question, now: datetime, wanted: Wanted) -> list[Row]:
    """Ready and open at the end of the window, or now; the sample is since when. Bots' changes wait for nobody."""
    rows = await tx.fetch(
        f"""
        SELECT f.ready_at AS at, {_CHANGE}, f.ready_at, f.ended_at, f.last_activity_at,
               {_seconds("f.ready_at", "$10::timestamptz")} AS sample
        FROM {_MOVING}
        WHERE {_ASKED} AND {_open_at("$10")} AND {page_of("f.ready_at", _NAME, 7)}
        """,  # noqa: S608  # constants
        *_parameters(question, wanted),
        _last(question, now),
    )
    return [dict(row) for row in rows]


async def left_alone(tx: Connection, question: Question, now: datetime, wanted: Wanted) -> list[Row]:
    """Ended in the window, or open at its end or now; the sample is since a human's last touch until then.

    What was touched since a moment that is past says nothing of that moment.
    """
    ended = "f.ended_at >= $2 AND f.ended_at < $3 AND f.author_class <> 'bot' AND f.ready_at < $3"
    rows = await tx.fetch(
        f"""
        SELECT f.ready_at AS at, {_CHANGE}, f.ready_at, f.ended_at, f.last_activity_at,
               extract(epoch FROM until.at - f.last_activity_at)::float8 AS sample
        FROM {_MOVING}
        CROSS JOIN LATERAL (
            SELECT f.ended_at AS at WHERE {ended} UNION ALL SELECT $10::timestamptz WHERE {_open_at("$10")}
        ) AS until
        WHERE {_ASKED} AND f.last_activity_at <= until.at AND {page_of("f.ready_at", _NAME, 7)}
        """,  # noqa: S608  # constants
        *_parameters(question, wanted),
        _last(question, now),
    )
    return [dict(row) for row in rows]


async def reviewed_first(tx: Connection, question: Question, wanted: Wanted) -> list[Row]:
    """The sample is the time from ready to the first review."""
    return await _reached(tx, question, wanted, "f.first_review_at", _seconds("f.ready_at", "f.first_review_at"))


async def approved(tx: Connection, question: Question, wanted: Wanted) -> list[Row]:
    """The sample is the time from the first review to the last approval."""
    return await _reached(tx, question, wanted, "f.approved_at", _seconds("f.first_review_at", "f.approved_at"))


async def merged_sizes(tx: Connection, question: Question, wanted: Wanted) -> list[Row]:
    """The sample is the lines changed."""
    return await _reached(tx, question, wanted, "f.ended_at", "f.lines::float8", "f.merged_at IS NOT NULL")


async def merged_rounds(tx: Connection, question: Question, wanted: Wanted) -> list[Row]:
    """The sample is the rounds of requested changes."""
    return await _reached(tx, question, wanted, "f.ended_at", "f.review_rounds::float8", "f.merged_at IS NOT NULL")


async def shipped(tx: Connection, question: Question, wanted: Wanted = ALL) -> list[Row]:
    """Those with a lead time, which is the sample, and their stages."""
    rows = await tx.fetch(
        f"""
        SELECT l.deployed_at AS at, {_CHANGE}, l.lead_time_s AS sample, l.first_commit_at, f.ready_at,
               f.first_review_at, f.approved_at, l.merged_at, d.started_at AS deploy_started_at
        FROM change_link l
        JOIN change_flow f ON (f.change, f.service) = (l.change, l.service) JOIN change c ON c.id = l.change
        JOIN deployment d ON d.id = l.deployment JOIN production_deployment p ON p.id = l.deployment
        WHERE {_ASKED} AND l.service = ANY($1) AND l.deployed_at >= $2 AND l.deployed_at < $3
          AND l.lead_time_s IS NOT NULL AND ($10::text IS NULL OR p.environment = $10)
          AND {page_of("l.deployed_at", _NAME, 7)}
        """,  # noqa: S608  # constants
        *_parameters(question, wanted),
        question.environment,
    )
    return [
        {**found, **flat(stages(deployed_at=found["at"], **{name: found[name] for name in MOMENTS[:-1]}))}
        for found in map(dict, rows)
    ]


async def reviews_done(tx: Connection, question: Question, catalog: Catalog, wanted: Wanted) -> list[Row]:
    """By humans, of somebody else's changes; a page is read on until it is full of them."""
    found: list[Row] = []
    while True:
        rows = await _reviews(tx, question, wanted)
        found += [
            {**row, "reviewer": person_of(row["source"], row["reviewer"], catalog)}
            for row in rows
            if is_human(row["reviewer"], row.pop("author_kind"), catalog)
        ]
        if wanted.limit is None or len(rows) < wanted.limit or len(found) >= wanted.limit:
            return found[: wanted.limit]
        wanted = Wanted(after=place_of(rows[-1]), limit=wanted.limit)


async def open_changes(tx: Connection, services: Sequence[str], catalog: Catalog) -> list[OpenChange]:
    """In the order they were ready."""
    rows = await tx.fetch(
        """
        SELECT f.service, c.source, f.repository, c.number, c.title, c.url, c.author, f.ready_at, f.first_review_at,
               f.last_activity_at, f.ticket,
               EXISTS (SELECT FROM (
                   SELECT DISTINCT ON (r.author) r.state FROM review r
                   WHERE r.change = f.change AND r.state IN ('approved', 'changes_requested', 'dismissed')
                   ORDER BY r.author, r.occurred_at DESC, r.id DESC
               ) AS verdict WHERE verdict.state = 'changes_requested') AS sent_back
        FROM change_flow f JOIN change c ON c.id = f.change
        WHERE f.service = ANY($1) AND f.ended_at IS NULL AND f.ready_at IS NOT NULL AND f.author_class <> 'bot'
        ORDER BY f.ready_at, c.id
        """,
        services,
    )
    found = [dict(row) for row in rows]
    return [
        OpenChange(
            **{**each, "author": person_of(source, each["author"], catalog)},
            has_tracker=bool(catalog.ticket_keys(each["service"])),
        )
        for each in found
        for source in [each.pop("source")]
    ]


async def _reached(
    tx: Connection, question: Question, wanted: Wanted, moment: str, sample: str, only: str = "true"
) -> list[Row]:
    """What came to this moment in the window."""
    rows = await tx.fetch(
        f"""
        SELECT {moment} AS at, {_CHANGE}, {sample} AS sample
        FROM {_MOVING}
        WHERE {_ASKED} AND {moment} >= $2 AND {moment} < $3 AND {only} AND {page_of(moment, _NAME, 7)}
        """,  # noqa: S608  # constants
        *_parameters(question, wanted),
    )
    return [dict(row) for row in rows]


async def _reviews(tx: Connection, question: Question, wanted: Wanted) -> list[dict[str, Any]]:
    """`id` is the review's, which is its own within a change alone."""
    name = "r.change || ' ' || r.id"
    rows = await tx.fetch(
        f"""
        SELECT r.occurred_at AS at, f.service, {name} AS id, c.source, f.repository, c.number, c.title, c.url,
               f.author_class, r.delivery, r.author AS reviewer, r.state, r.author_kind
        FROM review r
        CROSS JOIN LATERAL (SELECT * FROM change_flow of WHERE of.change = r.change OFFSET 0) AS f
        JOIN change c ON c.id = r.change
        WHERE {_ASKED} AND r.occurred_at >= $2 AND r.occurred_at < $3 AND r.id NOT LIKE 'comment %'
          AND (f.ended_at IS NULL OR r.occurred_at <= f.ended_at + {REVIEWED_FOR})
          AND lower(r.author) IS DISTINCT FROM lower(nullif(c.author, ''))
          AND {page_of("r.occurred_at", f"{name} || ' ' || f.service", 7)}
        """,  # noqa: S608  # constants
        *_parameters(question, wanted),
    )
    return [dict(row) for row in rows]


def _open_at(moment: str) -> str:
    """Ready and open just before it, by no bot; in the span of the question."""
    return f"""
        (f.ready_at < {moment} AND (f.ended_at IS NULL OR f.ended_at >= {moment}) AND f.author_class <> 'bot'
         AND {moment} > $2 AND {moment} <= $3)
    """


def _last(question: Question, now: datetime) -> datetime:
    return min(question.window.end, now)


def _seconds(start: str, end: str) -> str:
    """Null where it would be negative."""
    return f"CASE WHEN {end} >= {start} THEN extract(epoch FROM {end} - {start})::float8 END"


def person_of(source: str, login: str, catalog: Catalog) -> str:
    person = catalog.person(source, login)
    return person.name if person else login


def _parameters(question: Question, wanted: Wanted) -> tuple[object, ...]:
    return (
        list(question.services),
        question.span.start,
        question.span.end,
        question.repository,
        question.label,
        question.written_by,
        *wanted.parameters,
    )
