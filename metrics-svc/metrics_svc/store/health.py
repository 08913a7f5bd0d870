"""What keeps numbers away: counts over the facts of a window, by service."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from metrics_svc.health import Count, Observed
from metrics_svc.question import Question
from shared.db import Connection


async def observed(tx: Connection, question: Question, in_catalog: Collection[str]) -> dict[str, Observed]:
    """Every service that was asked about."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in await _changes(tx, question):
        merged = row["merged"]
        found[row["service"]] |= {
            "linked_by_time": Count(part=row["by_time"], whole=merged),
            "never_deployed": Count(part=row["unlinked"], whole=merged),
            "without_first_commit": Count(part=row["no_first_commit"], whole=merged),
            "skewed": Count(part=row["skewed"], whole=merged),
        }
    for row in await _deployments(tx, question):
        found[row["service"]]["without_sha"] = Count(part=row["without_sha"], whole=row["deployments"])
        found[row["service"]]["incidents"] = row["incidents"]
    environments: dict[str, list[Count]] = defaultdict(list)
    for row in await _environments(tx, question):
        environments[row["service"]].append(Count(name=row["environment"], part=row["n"], whole=row["whole"]))
    return {
        name: Observed(**found[name], unknown_environments=environments.get(name, ()), in_catalog=name in in_catalog)
        for name in question.services
    }


async def unowned(tx: Connection, question: Question) -> list[Count]:
    """Incidents of the window that no service of the catalog owns, by the platform's service; alerts aside."""
    rows = await tx.fetch(
        """
        SELECT i.source, coalesce(nullif(i.service_id, ''), i.service_name) AS name, count(*)::int AS n,
               (sum(count(*)) OVER ())::int AS whole
        FROM incident_link l JOIN incident i ON i.id = l.incident
        WHERE l.service IS NULL AND i.rule IS NULL AND l.opened_at >= $1 AND l.opened_at < $2
        GROUP BY 1, 2 ORDER BY n DESC, 1, 2 LIMIT 20
        """,
        question.window.start,
        question.window.end,
    )
    return [Count(source=row["source"], name=row["name"], part=row["n"], whole=row["whole"]) for row in rows]


async def _changes(tx: Connection, question: Question) -> Sequence[Any]:
    return await tx.fetch(
        """
        SELECT l.service, count(*)::int AS merged,
               (count(*) FILTER (WHERE l.method = 'time_in_repo'))::int AS by_time,
               (count(*) FILTER (WHERE l.deployment IS NULL
                                   AND l.merged_at < $3::timestamptz - interval '7 days'))::int AS unlinked,
               (count(*) FILTER (WHERE l.first_commit_at IS NULL))::int AS no_first_commit,
               (count(*) FILTER (WHERE l.first_commit_at > l.deployed_at OR l.first_commit_at IS NULL AND EXISTS (
                   SELECT FROM change c JOIN commit b ON b.repository = c.repository AND b.branch = c.head_ref
                   WHERE c.id = l.change AND b.skewed)))::int AS skewed
        FROM change_link l
        WHERE l.service = ANY($1) AND l.merged_at >= $2 AND l.merged_at < $3
        GROUP BY 1
        """,
        list(question.services),
        question.window.start,
        question.window.end,
    )


async def _deployments(tx: Connection, question: Question) -> Sequence[Any]:
    return await tx.fetch(
        """
        SELECT d.service, count(*)::int AS deployments,
               (count(*) FILTER (WHERE d.sha = '' OR d.sha LIKE 'sha256:%'))::int AS without_sha,
               (SELECT count(*) FROM incident_link i
                WHERE i.service = d.service AND i.opened_at >= $2 AND i.opened_at < $3)::int AS incidents
        FROM production_deployment d
        WHERE d.service = ANY($1) AND d.finished_at >= $2 AND d.finished_at < $3
        GROUP BY 1
        """,
        list(question.services),
        question.window.start,
        question.window.end,
    )


async def _environments(tx: Connection, question: Question) -> Sequence[Any]:
    """Those that succeeded somewhere that is not production by the catalog; `whole` is all that succeeded."""
    return await tx.fetch(
        """
        SELECT * FROM (
            SELECT r.service, f.environment,
                   (count(*) FILTER (WHERE d.id IS NULL AND a.id IS NULL))::int AS n,
                   (sum(count(*)) OVER (PARTITION BY r.service))::int AS whole
            FROM repository r JOIN deployment f ON f.origin = r.name AND f.outcome = 'succeeded'
            LEFT JOIN production_deployment d ON d.id = f.id
            LEFT JOIN set_aside a ON a.id = f.id
            WHERE r.service = ANY($1) AND f.finished_at >= $2 AND f.finished_at < $3
            GROUP BY 1, 2
        ) AS told WHERE n > 0 ORDER BY service, n DESC, environment
        """,
        list(question.services),
        question.window.start,
        question.window.end,
    )
