"""What made the numbers, in pages: changes, deployments and incidents with how each was linked and who told of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from metrics_svc import dora
from metrics_svc.flow.stages import MOMENTS, flat, stages
from metrics_svc.question import Question
from metrics_svc.store.conditions import in_repository, written_by
from metrics_svc.store.known import Known, known
from metrics_svc.store.paging import Row, Wanted, in_parts, page_of
from metrics_svc.store.samples import CAUSE_CONFIDENCE, LEAD_CONFIDENCE
from shared.db import Connection

# $1 to $7: services, start, end, environment, repository, label, the author's class and accounts; $8, $9: after;
# $10: limit; $11: a confidence. Every list yields `at` and `id`, by which it is ordered.
_OF_CHANGE = f"""
    ($5::text IS NULL OR l.repository = $5) AND ($6::text IS NULL OR $6 = ANY(c.labels))
    AND (($7::text[])[1] IS NULL OR (
        SELECT f.author_class = ($7::text[])[1] FROM change_flow f WHERE (f.change, f.service) = (l.change, l.service)))
    AND (cardinality($7::text[]) = 1 OR {written_by("l.change", 7)})
    AND ($4::text IS NULL OR (SELECT e.environment FROM production_deployment e WHERE e.id = l.deployment) = $4)
"""  # noqa: S608  # constants
_OF_DEPLOYMENT = """
    ($4::text IS NULL OR d.environment = $4) AND ($5::text IS NULL OR {repository})
    AND ($6::text IS NULL AND ($7::text[])[1] IS NULL OR EXISTS (
        SELECT FROM change_link l JOIN change c ON c.id = l.change
        LEFT JOIN change_flow f ON (f.change, f.service) = (l.change, l.service)
        WHERE l.deployment = d.id AND ($6::text IS NULL OR $6 = ANY(c.labels))
          AND (($7::text[])[1] IS NULL OR f.author_class = ($7::text[])[1])))
"""


# Each time that an incident was open: flapping ones were several times.
_OPEN = """
    (SELECT jsonb_agg(jsonb_build_array(span.start, span.stop) ORDER BY span.start) FROM (
        SELECT min(began.at) AS start, ended.at AS stop FROM (
            SELECT l.opened_at AS at
            UNION SELECT t.occurred_at FROM incident_transition t WHERE t.incident = i.id AND t.kind = 'reopened'
        ) AS began
        LEFT JOIN LATERAL (
            SELECT min(t.occurred_at) AS at FROM incident_transition t
            WHERE t.incident = i.id AND t.kind = 'resolved' AND t.reason <> 'merged' AND t.occurred_at >= began.at
        ) AS ended ON true
        GROUP BY ended.at
    ) AS span)
"""


def _changes(source: Known, moment: str, only: str) -> str:
    return f"""
        SELECT l.{moment} AS at, c.id, l.service, c.repository, c.number, c.title, c.author, c.author_kind,
               m.author_class, m.evidence AS author_evidence, c.labels, c.url, l.first_commit_at, c.opened_at,
               m.ready_at, m.first_review_at, m.approved_at, l.merged_at, l.deployment,
               f.started_at AS deploy_started_at, l.deployed_at, l.lead_time_s,
               ARRAY(SELECT date_part('epoch', l.deployed_at - own.at) FROM unnest(l.commit_times) AS own(at)
                     WHERE own.at <= l.deployed_at ORDER BY 1) AS commit_lead_times_s,
               l.method, round(l.confidence::numeric, 2)::float8 AS confidence, l.reverts,
               array_remove(ARRAY[c.delivery, f.delivery], NULL) AS deliveries
        FROM {source.changes} l JOIN change c ON c.id = l.change LEFT JOIN deployment f ON f.id = l.deployment
        LEFT JOIN change_flow m ON (m.change, m.service) = (l.change, l.service)
        WHERE l.service = ANY($1) AND l.{moment} >= $2 AND l.{moment} < $3 AND {_OF_CHANGE} AND ({only})
          AND {page_of(f"l.{moment}", "c.id || ' ' || l.service", 8)}
    """  # noqa: S608  # constants


def _deployments(source: Known, moment: str, only: str) -> str:
    return f"""
        SELECT d.{moment} AS at, d.id, d.service, f.source, d.repository, f.deployment_id, d.environment, d.sha, f.url,
               f.creator, f.started_at, d.finished_at, d.kind, d.seed, d.failed, d.failed_because, d.recovered_at,
               d.remediates, extract(epoch FROM d.recovered_at - d.finished_at)::float8 AS recovery_s,
               (SELECT jsonb_object_agg(own.repository, own.sha) FROM (
                    SELECT d.repository, d.sha
                    UNION ALL SELECT p.repository, p.sha FROM {source.parts} p WHERE p.deployment = d.id
                ) AS own) AS revisions,
               (SELECT count(*)::int FROM {source.changes} l WHERE l.deployment = d.id) AS changes,
               (SELECT coalesce(jsonb_agg(jsonb_build_object('id', i.incident, 'method', i.method,
                        'confidence', round(i.confidence::numeric, 2)) ORDER BY i.opened_at, i.incident), '[]')
                FROM {source.incidents} i WHERE i.deployment = d.id) AS incidents,
               ARRAY[f.delivery] || ARRAY(SELECT n.delivery FROM {source.incidents} i JOIN incident n
                                          ON n.id = i.incident WHERE i.deployment = d.id ORDER BY 1) AS deliveries
        FROM {source.deployments} d JOIN deployment f ON f.id = d.id
        WHERE d.service = ANY($1) AND d.{moment} >= $2 AND d.{moment} < $3 AND ({only})
          AND {_OF_DEPLOYMENT.format(repository=in_repository(5, parts=source.parts))}
          AND {page_of(f"d.{moment}", "d.id || ' ' || d.service", 8)}
    """  # noqa: S608  # constants


def _incidents(source: Known, moment: str, only: str) -> str:
    return f"""
        SELECT l.{moment} AS at, i.id, l.service, i.source, i.title, i.urgency, i.status, i.url, l.opened_at,
               l.resolved_at, extract(epoch FROM l.resolved_at - l.opened_at)::float8 AS recovery_s, l.deployment,
               l.method, round(l.confidence::numeric, 2)::float8 AS confidence, {_OPEN} AS open_from_to,
               ARRAY[i.delivery] AS deliveries
        FROM {source.incidents} l JOIN incident i ON i.id = l.incident
        WHERE l.service = ANY($1) AND l.{moment} >= $2 AND l.{moment} < $3 AND ({only})
          AND $4::text IS NULL AND $5::text IS NULL AND $6::text IS NULL AND ($7::text[])[1] IS NULL
          AND {page_of(f"l.{moment}", "i.id || ' ' || l.service", 8)}
    """  # noqa: S608  # constants


_LED = "l.lead_time_s IS NOT NULL AND l.confidence >= $11::float8 - 0.001"
_COUNTS = "d.kind <> 'redeploy' AND $11::float8 IS NOT NULL"
_RECOVERED = "d.kind <> 'redeploy' AND d.failed AND $11::float8 IS NOT NULL"
_ANY = "$11::float8 IS NOT NULL"

Query = tuple[Callable[[Known, str, str], str], str, str, float]
ITEMS: Mapping[str, Query] = {
    dora.LEAD_TIME: (_changes, "deployed_at", _LED, LEAD_CONFIDENCE),
    dora.COMMIT_LEAD_TIME: (_changes, "deployed_at", _LED, LEAD_CONFIDENCE),
    dora.FREQUENCY: (_deployments, "finished_at", _COUNTS, CAUSE_CONFIDENCE),
    dora.DEPLOYMENT_DAYS: (_deployments, "finished_at", _COUNTS, CAUSE_CONFIDENCE),
    dora.DEPLOYMENT_GAP: (_deployments, "finished_at", _COUNTS, CAUSE_CONFIDENCE),
    dora.FAIL_RATE: (_deployments, "finished_at", _COUNTS, CAUSE_CONFIDENCE),
    dora.REWORK_RATE: (_deployments, "finished_at", _COUNTS, CAUSE_CONFIDENCE),
    dora.RECOVERY_TIME: (_deployments, "recovered_at", _RECOVERED, CAUSE_CONFIDENCE),
    dora.INCIDENT_TIME: (_incidents, "resolved_at", _ANY, CAUSE_CONFIDENCE),
}
LISTS: Mapping[str, Query] = {
    "deployments": (_deployments, "finished_at", _ANY, 0),
    "changes": (_changes, "merged_at", _ANY, 0),
    "incidents": (_incidents, "opened_at", _ANY, 0),
}


async def page(tx: Connection, query: Query, question: Question, wanted: Wanted) -> Sequence[Row]:
    """In the order of (at, id, service)."""

    async def read(part: Question) -> Sequence[Row]:
        return await _page(tx, query, part, wanted)

    return await in_parts(question, wanted, read)


async def _page(tx: Connection, query: Query, question: Question, wanted: Wanted) -> Sequence[Row]:
    build, moment, only, confidence = query
    source = await known(tx, question)
    rows = await tx.fetch(
        build(source, moment, only),
        list(question.services),
        question.span.start,
        question.span.end,
        question.environment,
        question.repository,
        question.label,
        question.written_by,
        *wanted.parameters,
        confidence if question.min_confidence is None else question.min_confidence,
    )
    return [_plain(dict(row)) for row in rows]


def _plain(row: dict[str, Any]) -> Row:
    """A change with its stages, a deployment with its incidents, an incident with each time that it was open."""
    for field in ("incidents", "open_from_to", "revisions"):
        if field in row:
            row[field] = msgspec.json.decode(row[field])
    if "lead_time_s" in row:
        row |= flat(stages(**{name: row[name] for name in MOMENTS}))
    return row
