"""The samples behind the numbers, by service and piece of the window; the database sorts them, Python computes."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any

from asyncpg import Record

from metrics_svc import dora
from metrics_svc.dora import Samples
from metrics_svc.question import Question
from metrics_svc.store import shipped
from metrics_svc.store.conditions import of_deployment, parameters, piece
from metrics_svc.store.known import Known, known
from metrics_svc.store.shipped import Shipped
from shared.db import Connection

Key = tuple[str, int]
Fields = Mapping[Key, Mapping[str, Any]]

LEAD_CONFIDENCE = 0.4
CAUSE_CONFIDENCE = 0.5

# Service by service, since each has its own range of the index, and what is sorted is numbers alone.


async def samples(tx: Connection, question: Question, metrics: Collection[str]) -> Mapping[Key, Samples]:
    """By (service, number of the piece); only what these metrics need is read."""
    parts = [await _samples(tx, part, metrics) for part in question.parts()]
    if len(parts) == 1:
        return parts[0]
    # A team may have had a service more than once in a piece of the window.
    keys = {key for part in parts for key in part}
    return {key: dora.pool([part[key] for part in parts if key in part]) for key in keys}


async def _samples(tx: Connection, question: Question, metrics: Collection[str]) -> dict[Key, Samples]:
    source = await known(tx, question)
    found: dict[Key, dict[str, Any]] = defaultdict(dict)
    for read in dict.fromkeys(READERS[metric] for metric in metrics):
        for key, fields in (await read(tx, question, source)).items():
            found[key] |= fields
    return {key: Samples(**fields) for key, fields in found.items()}


async def _deployments(tx: Connection, question: Question, source: Known) -> Fields:
    rows = await tx.fetch(
        f"""
        SELECT asked.service, found.* FROM unnest($1::text[]) AS asked(service) CROSS JOIN LATERAL (
            SELECT {piece(question, "d.finished_at")} AS piece,
                   array_agg(date_part('epoch', d.finished_at) ORDER BY d.finished_at) AS finished_at,
                   count(*) FILTER (WHERE d.failed AND (
                       $9::float8 <= {CAUSE_CONFIDENCE} OR d.failed_because && '{{rollback,revert,hotfix}}'
                       OR EXISTS (SELECT FROM {source.incidents} i
                                  WHERE i.deployment = d.id AND i.confidence >= $9::float8 - 0.001)))::int AS failed,
                   count(*) FILTER (WHERE d.kind IN ('rollback', 'revert', 'hotfix'))::int AS rework
            FROM {source.deployments} d
            WHERE d.service = asked.service AND d.finished_at >= $2 AND d.finished_at < $3 AND d.kind <> 'redeploy'
              AND {of_deployment(question, source)}
            GROUP BY 1
        ) AS found
        """,  # noqa: S608  # constants
        *parameters(question),
        question.min_confidence or CAUSE_CONFIDENCE,
    )
    return _by_key(rows, "finished_at", "failed", "rework")


async def _lead_times(tx: Connection, question: Question, _: Known) -> Fields:
    return _shipped(await shipped.lead_times(tx, question, _lead_confidence(question)))


async def _commit_lead_times(tx: Connection, question: Question, _: Known) -> Fields:
    return _shipped(await shipped.commit_lead_times(tx, question, _lead_confidence(question)))


def _lead_confidence(question: Question) -> float:
    return LEAD_CONFIDENCE if question.min_confidence is None else question.min_confidence


def _shipped(found: Iterable[Shipped]) -> Fields:
    return {(each.service, each.piece): each.samples for each in found}


async def _recovery_times(tx: Connection, question: Question, source: Known) -> Fields:
    rows = await tx.fetch(
        f"""
        SELECT asked.service, found.* FROM unnest($1::text[]) AS asked(service) CROSS JOIN LATERAL (
            SELECT {piece(question, "d.recovered_at")} AS piece, array_agg(took.s ORDER BY took.s) AS recovery_times
            FROM {source.deployments} d
            CROSS JOIN LATERAL (SELECT extract(epoch FROM d.recovered_at - d.finished_at)::float8 AS s) AS took
            WHERE d.service = asked.service AND d.recovered_at >= $2 AND d.recovered_at < $3 AND d.kind <> 'redeploy'
              AND d.failed AND {of_deployment(question, source)}
            GROUP BY 1
        ) AS found
        """,  # noqa: S608  # constants
        *parameters(question),
    )
    return _by_key(rows, "recovery_times")


async def _incident_times(tx: Connection, question: Question, source: Known) -> Fields:
    """Incidents know no environment, repository, label or author."""
    rows = await tx.fetch(
        f"""
        SELECT i.service, {piece(question, "i.resolved_at")} AS piece,
               array_agg(took.s ORDER BY took.s) AS incident_times
        FROM {source.incidents} i
        CROSS JOIN LATERAL (SELECT extract(epoch FROM i.resolved_at - i.opened_at)::float8 AS s) AS took
        WHERE i.service = ANY($1) AND i.resolved_at >= $2 AND i.resolved_at < $3 AND took.s >= 0
        GROUP BY 1, 2
        """,  # noqa: S608  # constants
        *parameters(question)[:4],
    )
    return _by_key(rows, "incident_times")


def _by_key(rows: Iterable[Record], *fields: str) -> Fields:
    return {(row["service"], row["piece"]): {field: row[field] for field in fields} for row in rows}


Reader = Callable[[Connection, Question, Known], Awaitable[Fields]]
READERS: Mapping[str, Reader] = {
    dora.LEAD_TIME: _lead_times,
    dora.FREQUENCY: _deployments,
    dora.FAIL_RATE: _deployments,
    dora.RECOVERY_TIME: _recovery_times,
    dora.REWORK_RATE: _deployments,
    dora.COMMIT_LEAD_TIME: _commit_lead_times,
    dora.DEPLOYMENT_DAYS: _deployments,
    dora.DEPLOYMENT_GAP: _deployments,
    dora.INCIDENT_TIME: _incident_times,
}
