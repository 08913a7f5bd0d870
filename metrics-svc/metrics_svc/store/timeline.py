"""The timelines of production deployments: placing them, what kind each is, which failed and recovered.

A timeline is one repository of a service, in the order (finished_at, id). Every statement goes from the given
deployments to their neighbours by index, so that its cost does not grow with history.
"""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from shared.db import Connection


class Place(msgspec.Struct, frozen=True):
    """Where a deployment stands or stood."""

    id: str
    service: str
    finished_at: datetime


class Blame(msgspec.Struct, frozen=True):
    """Which deployment a rollback or hotfix said had failed, before and after."""

    was: str | None
    now: str | None


async def record_repositories(tx: Connection, services: dict[str, str]) -> None:
    """`services` maps repositories."""
    await tx.execute(
        """
        INSERT INTO repository (name, service)
        SELECT name, service FROM unnest($1::text[], $2::text[]) AS touched(name, service)
        WHERE NOT EXISTS (SELECT FROM repository r WHERE r.name = touched.name AND r.service = touched.service)
        ORDER BY name
        ON CONFLICT (name) DO UPDATE SET service = excluded.service
        """,
        list(services),
        list(services.values()),
    )


async def of_commits(tx: Connection, commits: Sequence[tuple[str, str]]) -> list[str]:
    """Production deployments of these (repository, sha)."""
    rows = await tx.fetch(
        """
        SELECT d.id FROM unnest($1::text[], $2::text[]) AS pushed(repository, sha)
        JOIN production_deployment d USING (repository, sha)
        """,
        [repository for repository, _ in commits],
        [sha for _, sha in commits],
    )
    return [row["id"] for row in rows]


async def places(tx: Connection, ids: Sequence[str]) -> list[Place]:
    rows = await tx.fetch("SELECT id, service, finished_at FROM production_deployment WHERE id = ANY($1)", ids)
    return [Place(*row.values()) for row in rows]


async def neighbours(tx: Connection, ids: Sequence[str]) -> list[str]:
    """Whose kind depends on these: the next one, the next of the same sha, and the next of the predecessor's sha."""
    rows = await tx.fetch(
        """
        SELECT next.id FROM production_deployment d
        CROSS JOIN LATERAL (
            (SELECT n.id FROM production_deployment n
             WHERE n.service = d.service AND n.repository = d.repository
               AND (n.finished_at, n.id) > (d.finished_at, d.id)
             ORDER BY n.finished_at, n.id LIMIT 1)
            UNION ALL
            (SELECT n.id FROM production_deployment n
             WHERE n.service = d.service AND n.repository = d.repository AND n.sha = d.sha
               AND (n.finished_at, n.id) > (d.finished_at, d.id)
             ORDER BY n.finished_at, n.id LIMIT 1)
            UNION ALL
            (SELECT n.id FROM (
                SELECT p.sha FROM production_deployment p
                WHERE p.service = d.service AND p.repository = d.repository
                  AND (p.finished_at, p.id) < (d.finished_at, d.id)
                ORDER BY p.finished_at DESC, p.id DESC LIMIT 1
             ) AS previous
             CROSS JOIN LATERAL (
                SELECT n.id FROM production_deployment n
                WHERE n.service = d.service AND n.repository = d.repository AND n.sha = previous.sha
                  AND (n.finished_at, n.id) > (d.finished_at, d.id)
                ORDER BY n.finished_at, n.id LIMIT 1
             ) AS n)
        ) AS next
        WHERE d.id = ANY($1)
        """,
        ids,
    )
    return [row["id"] for row in rows]


async def remove(tx: Connection, ids: Sequence[str]) -> list[str]:
    """These are no production deployments (any more); returns which deployments they had said had failed."""
    rows = await tx.fetch("DELETE FROM production_deployment WHERE id = ANY($1) RETURNING remediates", ids)
    return [row["remediates"] for row in rows if row["remediates"]]


async def place(tx: Connection, services: dict[str, str]) -> None:
    """Put succeeded deployments (id to service) where they belong, or move them there."""
    await tx.execute(
        """
        INSERT INTO production_deployment (id, service, repository, environment, sha, finished_at, position, exact)
        SELECT f.id, placed.service, f.repository, f.environment, f.sha, f.finished_at,
               coalesce(pushed.position,
                        floor(extract(epoch FROM coalesce(f.started_at, f.finished_at)))::bigint * 10000 + 9999),
               pushed.position IS NOT NULL
        FROM unnest($1::text[], $2::text[]) AS placed(id, service)
        JOIN deployment f USING (id)
        CROSS JOIN LATERAL (
            SELECT min(c.position) AS position FROM commit c
            WHERE c.repository = f.repository AND c.sha = f.sha AND c.on_default
        ) AS pushed
        ON CONFLICT (id) DO UPDATE SET
            service = excluded.service, environment = excluded.environment, sha = excluded.sha,
            finished_at = excluded.finished_at, position = excluded.position, exact = excluded.exact
        """,
        list(services),
        list(services.values()),
    )


async def tell_repeats(tx: Connection, ids: Sequence[str]) -> None:
    """Redeploy: the sha that was live anyway. Rollback: one that was live before that. The first of all: the seed."""
    await tx.execute(
        """
        UPDATE production_deployment d SET
            seed = NOT EXISTS (SELECT FROM production_deployment p
                               WHERE p.service = d.service AND p.repository = d.repository
                                 AND (p.finished_at, p.id) < (d.finished_at, d.id)),
            kind = CASE
                WHEN d.sha = '' THEN 'normal'
                WHEN d.sha = (SELECT p.sha FROM production_deployment p
                              WHERE p.service = d.service AND p.repository = d.repository
                                AND (p.finished_at, p.id) < (d.finished_at, d.id)
                              ORDER BY p.finished_at DESC, p.id DESC LIMIT 1) THEN 'redeploy'
                WHEN EXISTS (SELECT FROM production_deployment p
                             WHERE p.service = d.service AND p.repository = d.repository AND p.sha = d.sha
                               AND (p.finished_at, p.id) < (d.finished_at, d.id)) THEN 'rollback'
                ELSE 'normal'
            END
        WHERE d.id = ANY($1)
        """,
        ids,
    )


async def tell_hotfixes(tx: Connection, ids: Sequence[str]) -> None:
    """Hotfix: it carries a change that says so. The seed mends nothing of ours."""
    await tx.execute(
        """
        UPDATE production_deployment d SET kind = CASE
            WHEN NOT d.seed AND EXISTS (SELECT FROM change_link l WHERE l.deployment = d.id AND l.hotfix) THEN 'hotfix'
            ELSE 'normal'
        END
        WHERE d.id = ANY($1) AND d.kind IN ('normal', 'hotfix')
        """,
        ids,
    )


async def tell_remediated(tx: Connection, ids: Sequence[str]) -> list[Blame]:
    """What these mend, and what the first deployment after each mends (its predecessor may be another now).

    A rollback mends the deployment that followed the version it returns to, a hotfix the one before itself;
    redeploys are passed over.
    """
    rows = await tx.fetch(
        """
        WITH affected AS (
            SELECT d.id FROM production_deployment d WHERE d.id = ANY($1)
            UNION
            SELECT next.id FROM production_deployment d
            CROSS JOIN LATERAL (
                SELECT n.id FROM production_deployment n
                WHERE n.service = d.service AND n.repository = d.repository AND n.kind IN ('normal', 'hotfix')
                  AND (n.finished_at, n.id) > (d.finished_at, d.id)
                ORDER BY n.finished_at, n.id LIMIT 1
            ) AS next
            WHERE d.id = ANY($1)
        ), blamed AS (
            SELECT d.id, d.remediates AS was, CASE d.kind
                WHEN 'rollback' THEN (
                    SELECT n.id FROM (
                        SELECT e.finished_at, e.id FROM production_deployment e
                        WHERE e.service = d.service AND e.repository = d.repository AND e.sha = d.sha
                          AND (e.finished_at, e.id) < (d.finished_at, d.id)
                        ORDER BY e.finished_at DESC, e.id DESC LIMIT 1
                    ) AS target
                    CROSS JOIN LATERAL (
                        SELECT n.id FROM production_deployment n
                        WHERE n.service = d.service AND n.repository = d.repository
                          AND (n.finished_at, n.id) > (target.finished_at, target.id)
                        ORDER BY n.finished_at, n.id LIMIT 1
                    ) AS n)
                WHEN 'hotfix' THEN (
                    SELECT p.id FROM production_deployment p
                    WHERE p.service = d.service AND p.repository = d.repository AND p.kind <> 'redeploy'
                      AND (p.finished_at, p.id) < (d.finished_at, d.id)
                    ORDER BY p.finished_at DESC, p.id DESC LIMIT 1)
            END AS now
            FROM affected JOIN production_deployment d USING (id)
        )
        UPDATE production_deployment d SET remediates = blamed.now
        FROM blamed WHERE d.id = blamed.id
        RETURNING blamed.was, blamed.now
        """,
        ids,
    )
    return [Blame(*row.values()) for row in rows]


async def tell_failures(tx: Connection, ids: Sequence[str]) -> None:
    """Failed: an incident is linked to it, or a later deployment mends it. Recovered: by whichever was first."""
    await tx.execute(
        """
        UPDATE production_deployment d SET
            failed = told.reasons <> '{}', failed_because = told.reasons, recovered_at = told.recovered_at
        FROM (
            SELECT of.id,
                   coalesce(array_agg(DISTINCT cause.reason) FILTER (WHERE cause.reason IS NOT NULL), '{}') AS reasons,
                   min(cause.ended_at) AS recovered_at
            FROM unnest($1::text[]) AS of(id)
            LEFT JOIN LATERAL (
                SELECT 'incident' AS reason, i.resolved_at AS ended_at FROM incident_link i WHERE i.deployment = of.id
                UNION ALL
                SELECT r.kind, r.finished_at FROM production_deployment r WHERE r.remediates = of.id
            ) AS cause ON true
            GROUP BY of.id
        ) AS told
        WHERE d.id = told.id
        """,
        ids,
    )
