"""What counts in no number, and why: per service, over the same window as the numbers."""

from collections.abc import Mapping

from metrics_svc.question import Question
from metrics_svc.store.known import known
from metrics_svc.store.samples import LEAD_CONFIDENCE
from shared.db import Connection


async def excluded(tx: Connection, question: Question) -> dict[str | None, Mapping[str, int]]:
    """By service; None stands for incidents that nothing names a service of (alerts that do not count aside).

    Whatever succeeded and is neither in production nor set aside went to an environment that we don't know: three
    counts that indexes alone answer, but for services that share a repository.
    """
    found: dict[str | None, dict[str, int]] = {}
    for number, part in enumerate(question.parts()):
        for (service, reason), n in (await _excluded(tx, part)).items():
            if service is not None or number == 0:
                reasons = found.setdefault(service, {})
                reasons[reason] = reasons.get(reason, 0) + n
    return dict(found)


async def _excluded(tx: Connection, question: Question) -> dict[tuple[str | None, str], int]:
    source = await known(tx, question)
    rows = await tx.fetch(
        f"""
        WITH carried AS (
            SELECT l.service, coalesce(p.seed, d.seed) AS seed, coalesce(p.long_gap, d.long_gap) AS long_gap,
                   l.first_commit_at, l.lead_time_s, l.first_commit_at IS NULL AND EXISTS (
                       SELECT FROM change c JOIN commit b ON b.repository = c.repository AND b.branch = c.head_ref
                       WHERE c.id = l.change AND b.skewed) AS skewed
            FROM (
                SELECT * FROM {source.changes} l
                WHERE l.service = ANY($1) AND l.deployed_at >= $2 AND l.deployed_at < $3
                  AND l.deployment IS NOT NULL AND l.lead_time_s IS NULL
                UNION ALL
                SELECT * FROM {source.changes} l
                WHERE l.service = ANY($1) AND l.deployed_at >= $2 AND l.deployed_at < $3
                  AND l.deployment IS NOT NULL AND l.lead_time_s IS NOT NULL
                  AND $4::float8 > {LEAD_CONFIDENCE} AND l.confidence < $4 - 0.001
            ) AS l JOIN {source.deployments} d ON d.id = l.deployment
            LEFT JOIN {source.parts} p ON p.deployment = l.deployment AND p.repository = l.repository
        ), reasons AS (
            SELECT service, CASE WHEN seed THEN 'seed' WHEN long_gap THEN 'long_gap' WHEN skewed THEN 'skewed'
                                 WHEN first_commit_at IS NULL THEN 'no_first_commit'
                                 WHEN lead_time_s IS NULL THEN 'negative' ELSE 'low_confidence' END AS reason
            FROM carried
            UNION ALL
            SELECT service, 'unlinked_changes' FROM {source.changes} l
            WHERE deployment IS NULL AND service = ANY($1) AND merged_at >= $2 AND merged_at < $3
            UNION ALL
            SELECT service, 'unlinked_incidents' FROM {source.incidents} l
            WHERE deployment IS NULL AND (service = ANY($1) OR service IS NULL) AND opened_at >= $2 AND opened_at < $3
              AND (service IS NOT NULL OR NOT EXISTS (
                   SELECT FROM incident a WHERE a.id = l.incident AND a.rule IS NOT NULL))
            UNION ALL
            SELECT service, 'redeploys' FROM {source.deployments} d
            WHERE kind = 'redeploy' AND service = ANY($1) AND finished_at >= $2 AND finished_at < $3
            UNION ALL
            SELECT service, reason FROM set_aside
            WHERE service = ANY($1) AND finished_at >= $2 AND finished_at < $3
        ), elsewhere AS (
            SELECT asked.service, CASE WHEN EXISTS (
                SELECT FROM repository r JOIN repository o ON o.name = r.name AND o.service <> r.service
                WHERE r.service = asked.service
            ) THEN (
                SELECT count(*) FROM repository r JOIN deployment f ON f.origin = r.name AND f.outcome = 'succeeded'
                WHERE r.service = asked.service AND f.finished_at >= $2 AND f.finished_at < $3
                  AND NOT EXISTS (SELECT FROM production_deployment d WHERE d.id = f.id)
                  AND NOT EXISTS (SELECT FROM set_aside a WHERE a.id = f.id)
            ) ELSE (
                SELECT count(*) FROM repository r JOIN deployment f ON f.origin = r.name AND f.outcome = 'succeeded'
                WHERE r.service = asked.service AND f.finished_at >= $2 AND f.finished_at < $3
            ) - (
                SELECT count(*) FROM production_deployment d
                WHERE d.service = asked.service AND d.finished_at >= $2 AND d.finished_at < $3
            ) - (
                SELECT count(*) FROM set_aside a
                WHERE a.service = asked.service AND a.finished_at >= $2 AND a.finished_at < $3
            ) END AS n
            FROM unnest($1::text[]) AS asked(service)
        )
        SELECT service, reason, count(*)::int AS n FROM reasons GROUP BY 1, 2
        UNION ALL
        SELECT service, 'unknown_environment', n::int FROM elsewhere WHERE n > 0
        """,  # noqa: S608  # constants
        list(question.services),
        question.span.start,
        question.span.end,
        LEAD_CONFIDENCE if question.min_confidence is None else question.min_confidence,
    )
    return {(row["service"], row["reason"]): row["n"] for row in rows}
