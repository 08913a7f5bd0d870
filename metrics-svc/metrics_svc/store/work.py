"""Reading builds, tickets, quality, attempts in production and incidents for the numbers.

The catalog says at reading time which origins are meant; pieces of the window come cut, so that no time zone is
known here.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from metrics_svc import work
from metrics_svc.flow.builds import Builds
from metrics_svc.flow.gates import HOLDS
from metrics_svc.flow.pieces import piece_of
from metrics_svc.flow.production import Attempts, Incidents
from metrics_svc.flow.quality import Report
from metrics_svc.flow.tickets import Tickets
from metrics_svc.meaning import reported
from metrics_svc.question import Question
from metrics_svc.store.conditions import in_repository
from shared.catalog import Catalog
from shared.db import Connection


async def services(tx: Connection, catalog: Catalog) -> set[str]:
    """That builds, tickets or reports of quality tell of."""
    rows = await tx.fetch("SELECT kind, origin FROM work_origin")
    return {service for row in rows if (service := work.service_of(row["kind"], row["origin"], catalog))}


async def builds(tx: Connection, question: Question, catalog: Catalog) -> list[Builds]:
    rows = await tx.fetch(
        """
        WITH ended AS MATERIALIZED (
            SELECT meant.service, b.repository, b.branch, b.outcome,
                   width_bucket(b.finished_at, $6::timestamptz[]) - 1 AS piece,
                   b.finished_at - coalesce(b.started_at, b.begun_at) AS lasted
            FROM unnest($1::text[], $2::text[]) AS meant(origin, service)
            JOIN build b ON b.origin = meant.origin
            WHERE b.job = '' AND b.outcome IN ('succeeded', 'failed') AND b.finished_at >= $3 AND b.finished_at < $4
              AND ($5::text IS NULL OR b.repository = $5)
        ), home AS (
            SELECT name.repository, name.branch FROM (SELECT DISTINCT repository, branch FROM ended) AS name
            WHERE EXISTS (SELECT FROM commit c WHERE c.repository = name.repository AND c.branch = name.branch
                          AND c.on_default)
        )
        SELECT service, piece, (repository, branch) IN (SELECT repository, branch FROM home) AS on_default,
               count(*) FILTER (WHERE outcome = 'succeeded')::int AS succeeded,
               count(*) FILTER (WHERE outcome = 'failed')::int AS failed,
               coalesce(array_agg(extract(epoch FROM lasted)::float8) FILTER (WHERE lasted >= interval '0'), '{}')
                   AS durations
        FROM ended
        GROUP BY service, piece, on_default
        """,
        *await asked(tx, work.BUILD, question, catalog),
        _cuts(question),
    )
    return [Builds(**row) for row in rows]


async def tickets(tx: Connection, question: Question, catalog: Catalog) -> list[Tickets]:
    """What was deleted, or went to a tracker elsewhere, was never done."""
    rows = await tx.fetch(
        """
        SELECT meant.service, width_bucket(t.closed_at, $6::timestamptz[]) - 1 AS piece, count(*)::int AS closed,
               coalesce(array_agg(extract(epoch FROM t.closed_at - t.created_at)::float8)
                        FILTER (WHERE t.closed_at >= t.created_at), '{}') AS lead_times,
               coalesce(array_agg(extract(epoch FROM t.closed_at - t.started_at)::float8)
                        FILTER (WHERE t.closed_at >= t.started_at), '{}') AS cycle_times
        FROM unnest($1::text[], $2::text[]) AS meant(origin, service)
        JOIN ticket t ON t.origin = meant.origin
        WHERE t.closed_at >= $3 AND t.closed_at < $4 AND t.closed_reason NOT IN ('deleted', 'transferred')
          AND ($5::text IS NULL OR t.project = $5)
        GROUP BY 1, 2
        """,
        *await asked(tx, work.TICKET, question, catalog),
        _cuts(question),
    )
    return [Tickets(**row) for row in rows]


async def reports(tx: Connection, question: Question, catalog: Catalog) -> list[Report]:
    """Of branches, in the span of the question and as long before it as a gate may hold."""
    origins, names, start, end, repository = await asked(tx, work.QUALITY, question, catalog)
    rows = await tx.fetch(
        """
        SELECT q.id, meant.service, q.source, q.project, q.repository, q.branch, q.occurred_at, q.coverage,
               q.coverage_base, q.gate, q.delivery
        FROM unnest($1::text[], $2::text[]) AS meant(origin, service)
        JOIN quality q ON q.origin = meant.origin
        WHERE q.branch <> '' AND q.occurred_at >= $3 AND q.occurred_at < $4 AND ($5::text IS NULL OR q.repository = $5)
        ORDER BY q.occurred_at, q.id
        """,
        origins,
        names,
        start - HOLDS,
        end,
        repository,
    )
    return [Report(*row.values()) for row in rows]


async def attempts(tx: Connection, question: Question, catalog: Catalog) -> list[Attempts]:
    """Those that succeeded stand on timelines; those that failed are the same reports of rollouts, told to fail."""
    rows = await tx.fetch(
        f"""
        SELECT service, width_bucket(finished_at, $6::timestamptz[]) - 1 AS piece, count(*)::int AS succeeded,
               count(*) FILTER (WHERE kind <> 'redeploy')::int AS shipped,
               count(*) FILTER (WHERE kind = 'rollback')::int AS rollbacks
        FROM production_deployment d
        WHERE service = ANY($1) AND finished_at >= $2 AND finished_at < $3
          AND ($4::text IS NULL OR {in_repository(4)}) AND ($5::text IS NULL OR environment = $5)
        GROUP BY 1, 2
        """,  # noqa: S608  # constants
        *asked_of_deployments(question),
        _cuts(question),
    )
    failed = await failed_attempts(tx, question, catalog)
    pieces = question.buckets
    return [Attempts(**row) for row in rows] + [
        Attempts(service=each["service"], piece=piece_of(each["finished_at"], pieces), failed=1) for each in failed
    ]


class _Failed(msgspec.Struct, frozen=True, kw_only=True):
    """As if it had succeeded: whether it stands for a rollout in production is then asked in the one place for that."""

    id: str
    source: str
    repository: str
    service_name: str
    environment: str
    sha: str
    finished_at: datetime
    outcome: str = "succeeded"


async def failed_attempts(tx: Connection, question: Question, catalog: Catalog) -> list[dict[str, Any]]:
    """Several platforms' reports of one attempt count once, as they do where it succeeds."""
    rows = await tx.fetch(
        """
        SELECT f.id, f.source, f.repository, f.service_name, f.environment, f.commit_sha AS sha, f.outcome,
               f.finished_at AS at, f.finished_at, f.url, f.delivery
        FROM deployment f
        WHERE f.origin IN (SELECT r.name FROM repository r WHERE r.service = ANY($1)) AND f.outcome = 'failed'
          AND f.finished_at >= $2 AND f.finished_at < $3
        ORDER BY f.finished_at, f.id
        """,
        question.services,
        *_window(question),
    )
    found = reported([_Failed(**{n: row[n] for n in _Failed.__struct_fields__[:-1]}) for row in rows], catalog)
    return [
        {"service": standing.service, "kind": None, **row}
        for row in rows
        if (standing := found[row["id"]])
        and standing.counts
        and question.repository in (None, standing.timeline)
        and question.environment in (None, standing.environment)
        and standing.service in question.services
    ]


async def incidents(tx: Connection, question: Question, _: Catalog) -> list[Incidents]:
    """A repository or environment narrows them to those that its deployments caused."""
    rows = await tx.fetch(
        f"""
        SELECT l.service, width_bucket(l.opened_at, $6::timestamptz[]) - 1 AS piece, count(*)::int AS opened
        FROM incident_link l LEFT JOIN production_deployment d ON d.id = l.deployment
        WHERE l.service = ANY($1) AND l.opened_at >= $2 AND l.opened_at < $3
          AND ($4::text IS NULL OR {in_repository(4)}) AND ($5::text IS NULL OR d.environment = $5)
        GROUP BY 1, 2
        """,  # noqa: S608  # constants
        *asked_of_deployments(question),
        _cuts(question),
    )
    return [Incidents(**row) for row in rows]


async def asked(tx: Connection, kind: str, question: Question, catalog: Catalog) -> tuple[Any, ...]:
    """Origins and their services, window, repository: the first five parameters of a statement."""
    wanted = set(question.services)
    rows = await tx.fetch("SELECT origin FROM work_origin WHERE kind = $1 ORDER BY origin", kind)
    meant = {row["origin"]: work.service_of(kind, row["origin"], catalog) for row in rows}
    pairs = [(origin, service) for origin, service in meant.items() if service in wanted]
    return [o for o, _ in pairs], [s for _, s in pairs], *_window(question), question.repository


def asked_of_deployments(question: Question) -> tuple[Any, ...]:
    return question.services, *_window(question), question.repository, question.environment


def _window(question: Question) -> tuple[Any, Any]:
    return question.span.start, question.span.end


def _cuts(question: Question) -> Sequence[Any]:
    return [piece.start for piece in question.buckets]
