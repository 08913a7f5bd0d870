"""Builds, tickets, reports of quality, attempts in production and incidents one by one, in pages."""

from typing import Any

import msgspec

from metrics_svc import work
from metrics_svc.flow.gates import HOLDS
from metrics_svc.question import Question
from metrics_svc.store.conditions import in_repository
from metrics_svc.store.paging import Row, Wanted, cut, page_of
from metrics_svc.store.work import asked, asked_of_deployments, failed_attempts
from shared.catalog import Catalog
from shared.db import Connection

# Parameters: $1 to $5 as of `store.work`, $6 to $8 those of a page.
_FIRST = 6


async def builds(tx: Connection, question: Question, catalog: Catalog, wanted: Wanted) -> list[Row]:
    name = "concat_ws(':', b.source, b.repository, b.build_id, b.attempt)"
    rows = await tx.fetch(
        f"""
        SELECT b.finished_at AS at, {name} AS id, meant.service, b.source, b.repository, b.build_id, b.attempt, b.name,
               b.branch, b.sha, b.outcome, coalesce(b.started_at, b.begun_at) AS started_at, b.finished_at,
               CASE WHEN b.finished_at >= coalesce(b.started_at, b.begun_at)
                    THEN extract(epoch FROM b.finished_at - coalesce(b.started_at, b.begun_at))::float8
               END AS duration_s,
               EXISTS (SELECT FROM commit c WHERE c.repository = b.repository AND c.branch = b.branch
                       AND c.on_default) AS on_default, b.url, b.delivery
        FROM unnest($1::text[], $2::text[]) AS meant(origin, service)
        JOIN build b ON b.origin = meant.origin
        WHERE b.job = '' AND b.outcome IN ('succeeded', 'failed') AND b.finished_at >= $3 AND b.finished_at < $4
          AND ($5::text IS NULL OR b.repository = $5)
          AND {page_of("b.finished_at", f"{name} || ' ' || meant.service", _FIRST)}
        """,  # noqa: S608  # constants
        *await asked(tx, work.BUILD, question, catalog),
        *wanted.parameters,
    )
    return [dict(row) for row in rows]


async def tickets(tx: Connection, question: Question, catalog: Catalog, wanted: Wanted) -> list[Row]:
    rows = await tx.fetch(
        f"""
        SELECT t.closed_at AS at, t.id, meant.service, t.source, t.project, t.key, t.title, t.ticket_type, t.status,
               t.created_at, t.started_at, t.closed_at, t.closed_reason,
               CASE WHEN t.closed_at >= t.created_at
                    THEN extract(epoch FROM t.closed_at - t.created_at)::float8 END AS lead_time_s,
               CASE WHEN t.closed_at >= t.started_at
                    THEN extract(epoch FROM t.closed_at - t.started_at)::float8 END AS cycle_time_s,
               t.url, t.delivery
        FROM unnest($1::text[], $2::text[]) AS meant(origin, service)
        JOIN ticket t ON t.origin = meant.origin
        WHERE t.closed_at >= $3 AND t.closed_at < $4 AND t.closed_reason NOT IN ('deleted', 'transferred')
          AND ($5::text IS NULL OR t.project = $5)
          AND {page_of("t.closed_at", "t.id || ' ' || meant.service", _FIRST)}
        """,  # noqa: S608  # constants
        *await asked(tx, work.TICKET, question, catalog),
        *wanted.parameters,
    )
    return [dict(row) for row in rows]


async def covered(tx: Connection, question: Question, catalog: Catalog, wanted: Wanted) -> list[Row]:
    return await _reports(tx, question, catalog, wanted, "q.coverage IS NOT NULL AND q.occurred_at >= $3")


async def gated(tx: Connection, question: Question, catalog: Catalog, wanted: Wanted) -> list[Row]:
    """With those before the window: what they said may hold in it."""
    return await _reports(tx, question, catalog, wanted, "q.gate <> ''")


async def attempts(tx: Connection, question: Question, catalog: Catalog, wanted: Wanted) -> list[Row]:
    """Whether one that failed counts, its neighbours tell: they are read all."""
    failed = await failed_attempts(tx, question, catalog)
    return [*cut([*await shipped(tx, question, catalog, wanted), *failed], wanted)]


async def shipped(tx: Connection, question: Question, _: Catalog, wanted: Wanted) -> list[Row]:
    rows = await tx.fetch(
        f"""
        SELECT d.finished_at AS at, d.service, d.id, f.source, d.repository, d.environment, d.sha, f.outcome, d.kind,
               d.finished_at, f.url, f.delivery
        FROM production_deployment d JOIN deployment f USING (id)
        WHERE d.service = ANY($1) AND d.finished_at >= $2 AND d.finished_at < $3
          AND ($4::text IS NULL OR {in_repository(4)}) AND ($5::text IS NULL OR d.environment = $5)
          AND {page_of("d.finished_at", "d.id || ' ' || d.service", _FIRST)}
        """,  # noqa: S608  # constants
        *asked_of_deployments(question),
        *wanted.parameters,
    )
    return [dict(row) for row in rows]


async def incidents(tx: Connection, question: Question, _: Catalog, wanted: Wanted) -> list[Row]:
    rows = await tx.fetch(
        f"""
        SELECT l.opened_at AS at, l.service, i.id, i.source, i.title, l.opened_at, l.resolved_at, l.deployment,
               l.method, round(l.confidence::numeric, 2)::float8 AS confidence, i.url, i.delivery
        FROM incident_link l JOIN incident i ON i.id = l.incident
        LEFT JOIN production_deployment d ON d.id = l.deployment
        WHERE l.service = ANY($1) AND l.opened_at >= $2 AND l.opened_at < $3
          AND ($4::text IS NULL OR {in_repository(4)}) AND ($5::text IS NULL OR d.environment = $5)
          AND {page_of("l.opened_at", "i.id || ' ' || l.service", _FIRST)}
        """,  # noqa: S608  # constants
        *asked_of_deployments(question),
        *wanted.parameters,
    )
    return [dict(row) for row in rows]


async def _reports(tx: Connection, question: Question, catalog: Catalog, wanted: Wanted, only: str) -> list[Row]:
    rows = await tx.fetch(
        f"""
        SELECT q.occurred_at AS at, q.id, meant.service, q.source, q.project, q.repository, q.branch, q.occurred_at,
               q.coverage, q.coverage_base, q.gate, q.sha, q.number, q.conditions, q.url, q.delivery
        FROM unnest($1::text[], $2::text[]) AS meant(origin, service)
        JOIN quality q ON q.origin = meant.origin
        WHERE q.branch <> '' AND q.occurred_at >= $3::timestamptz - $9::interval AND q.occurred_at < $4
          AND ($5::text IS NULL OR q.repository = $5) AND {only}
          AND {page_of("q.occurred_at", "q.id || ' ' || meant.service", _FIRST)}
        """,  # noqa: S608  # constants
        *await asked(tx, work.QUALITY, question, catalog),
        *wanted.parameters,
        HOLDS,
    )
    found: list[dict[str, Any]] = [dict(row) for row in rows]
    return [{**each, "conditions": msgspec.json.decode(each["conditions"])} for each in found]
