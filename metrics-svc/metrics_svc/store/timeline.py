"""The timelines of production deployments: placing them, what kind each is, which failed and recovered.

A timeline is one repository of a service in one environment, in the order (finished_at, id). A deployment stands on
that of its own repository; what it brought of others are its parts, which stand on theirs. Every statement goes from
the given deployments to their neighbours by index, so that its cost does not grow with history.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from metrics_svc.meaning import Owned
from shared.db import Connection

# Where a commit is: on the default branch, else on the one that was deployed, else on the last to get it. Where no push
# told of it, the start of the deployment is its position.
_PUSHED = """
    LEFT JOIN LATERAL (
        SELECT * FROM (
            SELECT min(c.position) AS position, CASE WHEN c.on_default THEN '' ELSE c.branch END AS branch
            FROM commit c WHERE c.repository = {repository} AND c.sha = {sha} GROUP BY 2
        ) AS place
        ORDER BY place.branch <> '', place.branch <> told.ref, place.position DESC, place.branch LIMIT 1
    ) AS pushed ON true
"""
# All that stands on timelines. A part's kind is told by its own alone.
_STANDING = """(
    SELECT id, service, repository, environment, sha, finished_at, kind FROM production_deployment
    UNION ALL
    SELECT deployment, service, repository, environment, sha, finished_at, kind FROM part
)"""


class Place(msgspec.Struct, frozen=True):
    """Where a deployment stands or stood."""

    id: str
    service: str
    repository: str
    environment: str
    finished_at: datetime


class Blame(msgspec.Struct, frozen=True):
    """Which deployment a rollback or hotfix said had failed, before and after."""

    was: str | None
    now: str | None


async def record_repositories(tx: Connection, services: Mapping[str, Sequence[str]]) -> None:
    """`services` maps repositories to all that they hold."""
    held = [(name, service) for name, all_ in services.items() for service in all_]
    await tx.execute(
        """
        WITH touched AS (SELECT * FROM unnest($1::text[], $2::text[]) AS touched(name, service)),
        gone AS (
            DELETE FROM repository r WHERE r.name = ANY($1)
              AND NOT EXISTS (SELECT FROM touched WHERE (touched.name, touched.service) = (r.name, r.service))
        )
        INSERT INTO repository (name, service)
        SELECT name, service FROM touched
        WHERE NOT EXISTS (SELECT FROM repository r WHERE r.name = touched.name AND r.service = touched.service)
        ORDER BY name, service
        ON CONFLICT (name, service) DO NOTHING
        """,
        [name for name, _ in held],
        [service for _, service in held],
    )


async def record_services(tx: Connection, services: Sequence[Owned]) -> None:
    await tx.execute(
        """
        INSERT INTO service (name, team, earlier_teams, handed_over_at)
        SELECT name, team, earlier_teams, handed_over_at FROM json_populate_recordset(NULL::service, $1::json) AS told
        WHERE NOT EXISTS (
            SELECT FROM service s WHERE (s.name, s.team, s.earlier_teams, s.handed_over_at)
                                      = (told.name, told.team, told.earlier_teams, told.handed_over_at))
        ORDER BY name
        ON CONFLICT (name) DO UPDATE SET (team, earlier_teams, handed_over_at)
                                       = (excluded.team, excluded.earlier_teams, excluded.handed_over_at)
        """,
        msgspec.json.encode(services).decode(),
    )


async def of_commits(tx: Connection, commits: Sequence[tuple[str, str]]) -> list[str]:
    """Production deployments that brought one of these (repository, sha), or that may have: not all say of which
    repository their commit is."""
    rows = await tx.fetch(
        """
        WITH pushed AS (SELECT * FROM unnest($1::text[], $2::text[]) AS pushed(repository, sha))
        SELECT d.id FROM pushed JOIN repository r ON r.name = pushed.repository
        CROSS JOIN LATERAL (
            SELECT e.id FROM production_deployment e WHERE e.service = r.service AND e.sha = pushed.sha OFFSET 0
        ) AS d
        UNION
        SELECT d.id FROM pushed
        JOIN deployment f ON f.revisions @> jsonb_build_array(jsonb_build_object('sha', pushed.sha))
        JOIN production_deployment d ON d.id = f.id
        """,
        [repository for repository, _ in commits],
        [sha for _, sha in commits],
    )
    return [row["id"] for row in rows]


async def places(tx: Connection, ids: Sequence[str]) -> list[Place]:
    rows = await tx.fetch(
        "SELECT id, service, repository, environment, finished_at FROM production_deployment WHERE id = ANY($1)", ids
    )
    return [Place(*row.values()) for row in rows]


async def neighbours(tx: Connection, ids: Sequence[str]) -> list[str]:
    """Whose kind depends on these: the next one, the next of the same sha, and the next of the predecessor's sha."""
    rows = await tx.fetch(
        f"""
        SELECT next.id FROM {_STANDING} AS d
        CROSS JOIN LATERAL (
            (SELECT n.id FROM {_STANDING} AS n
             WHERE (n.service, n.repository, n.environment) = (d.service, d.repository, d.environment)
               AND (n.finished_at, n.id) > (d.finished_at, d.id)
             ORDER BY n.finished_at, n.id LIMIT 1)
            UNION ALL
            (SELECT n.id FROM {_STANDING} AS n
             WHERE (n.service, n.repository, n.environment) = (d.service, d.repository, d.environment) AND n.sha = d.sha
               AND (n.finished_at, n.id) > (d.finished_at, d.id)
             ORDER BY n.finished_at, n.id LIMIT 1)
            UNION ALL
            (SELECT n.id FROM (
                SELECT p.sha FROM {_STANDING} AS p
                WHERE (p.service, p.repository, p.environment) = (d.service, d.repository, d.environment)
                  AND (p.finished_at, p.id) < (d.finished_at, d.id)
                ORDER BY p.finished_at DESC, p.id DESC LIMIT 1
             ) AS previous
             CROSS JOIN LATERAL (
                SELECT n.id FROM {_STANDING} AS n
                WHERE (n.service, n.repository, n.environment) = (d.service, d.repository, d.environment)
                  AND n.sha = previous.sha
                  AND (n.finished_at, n.id) > (d.finished_at, d.id)
                ORDER BY n.finished_at, n.id LIMIT 1
             ) AS n)
        ) AS next
        WHERE d.id = ANY($1)
        """,  # noqa: S608  # constants
        ids,
    )
    return [row["id"] for row in rows]


async def remove(tx: Connection, ids: Sequence[str]) -> list[str]:
    """These are no production deployments (any more); returns which deployments they had said had failed."""
    rows = await tx.fetch(
        """
        WITH gone AS (DELETE FROM part WHERE deployment = ANY($1))
        DELETE FROM production_deployment WHERE id = ANY($1) RETURNING remediates
        """,
        ids,
    )
    return [row["remediates"] for row in rows if row["remediates"]]


async def set_aside(tx: Connection, reasons: Mapping[str, tuple[str, str]]) -> None:
    """Succeeded deployments (id to service and reason) whose rollout does not count as they tell of it."""
    await tx.execute(
        """
        INSERT INTO set_aside (id, service, sha, finished_at, reason)
        SELECT f.id, aside.service, f.commit_sha, f.finished_at, aside.reason
        FROM unnest($1::text[], $2::text[], $3::text[]) AS aside(id, service, reason) JOIN deployment f USING (id)
        ORDER BY f.id
        ON CONFLICT (id) DO UPDATE SET
            (service, sha, finished_at, reason)
            = (excluded.service, excluded.sha, excluded.finished_at, excluded.reason)
        """,
        list(reasons),
        [service for service, _ in reasons.values()],
        [reason for _, reason in reasons.values()],
    )


async def take_back(tx: Connection, ids: Sequence[str]) -> None:
    await tx.execute("DELETE FROM set_aside WHERE id = ANY($1)", ids)


async def place(
    tx: Connection, timelines: Mapping[str, tuple[str, str, str]], repositories: Mapping[str, Sequence[str]]
) -> None:
    """Put succeeded deployments (id to service, repository and environment) where they belong, or move them there.

    Where the platform names another repository than that one, or none, or only an image tells the commit: the
    repository of the service that has it, once a push told of it. The commits that it brought beside that one are its
    parts, one for each other of the service's `repositories`; of several that images tell the furthest.
    """
    await tx.execute(
        f"""
        WITH told AS MATERIALIZED (
            SELECT named.id, named.service, named.environment, f.finished_at, f.ref, f.commit_sha AS sha, f.mapped,
                   f.revisions,
                   floor(extract(epoch FROM coalesce(f.started_at, f.finished_at)))::bigint * 10000 + 9999 AS began,
                   coalesce(CASE WHEN f.commit_sha <> '' AND (named.repository <> f.repository OR f.mapped) THEN (
                       SELECT min(c.repository) FROM repository r
                       JOIN commit c ON c.repository = r.name AND c.sha = f.commit_sha
                       WHERE r.service = named.service) END, named.repository) AS repository
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS named(id, service, repository, environment)
            JOIN deployment f USING (id)
        ), parts AS MATERIALIZED (
            SELECT DISTINCT ON (told.id, r.name)
                   told.id AS deployment, r.name AS repository, told.service, told.environment, v.sha,
                   told.finished_at, coalesce(pushed.position, told.began) AS position,
                   coalesce(pushed.branch = '', false) AS exact, pushed.branch, coalesce(v.mapped, false) AS mapped
            FROM told
            CROSS JOIN LATERAL jsonb_to_recordset(told.revisions) AS v(repository text, sha text, mapped boolean)
            JOIN LATERAL (
                SELECT v.repository AS name FROM unnest($5::text[], $6::text[]) AS held(service, repository)
                WHERE held.service = told.service AND lower(held.repository) = lower(v.repository)
                UNION
                SELECT name FROM repository WHERE service = told.service AND v.repository = ''
            ) AS r ON r.name <> told.repository
            {_PUSHED.format(repository="r.name", sha="v.sha")}
            WHERE v.repository <> '' OR pushed.position IS NOT NULL
            ORDER BY told.id, r.name, v.repository = '', pushed.position DESC, v.sha
        ), gone AS (
            DELETE FROM part WHERE deployment = ANY($1)
              AND NOT EXISTS (SELECT FROM parts n
                              WHERE (n.deployment, n.repository) = (part.deployment, part.repository))
        ), apart AS (
            INSERT INTO part (deployment, repository, service, environment, sha, finished_at, position, exact, branch,
                              mapped)
            SELECT * FROM parts
            ON CONFLICT (deployment, repository) DO UPDATE SET
                (service, environment, sha, finished_at, position, exact, branch, mapped)
                = (excluded.service, excluded.environment, excluded.sha, excluded.finished_at, excluded.position,
                   excluded.exact, excluded.branch, excluded.mapped)
        )
        INSERT INTO production_deployment (id, service, repository, environment, sha, finished_at, position, exact,
                                           branch, mapped)
        SELECT told.id, told.service, told.repository, told.environment, told.sha, told.finished_at,
               coalesce(pushed.position, told.began), coalesce(pushed.branch = '', false), pushed.branch, told.mapped
        FROM told {_PUSHED.format(repository="told.repository", sha="told.sha")}
        ON CONFLICT (id) DO UPDATE SET
            service = excluded.service, repository = excluded.repository, environment = excluded.environment,
            sha = excluded.sha, finished_at = excluded.finished_at, position = excluded.position,
            exact = excluded.exact, branch = excluded.branch, mapped = excluded.mapped
        """,  # noqa: S608  # constants
        list(timelines),
        [service for service, _, _ in timelines.values()],
        [repository for _, repository, _ in timelines.values()],
        [environment for _, _, environment in timelines.values()],
        [service for service, held in repositories.items() for _ in held],
        [repository for held in repositories.values() for repository in held],
    )


async def tell_repeats(tx: Connection, ids: Sequence[str]) -> None:
    """Redeploy: the shas that were live anyway. Rollback: one that was live before that, and none that is new. The
    first of all: the seed.

    What the platform says wins: a rollback by that name, a release of configuration alone. What mends by what it
    carries stays so until that is looked at again.
    """
    await tx.execute(
        f"""
        WITH own AS MATERIALIZED (
            SELECT e.id, e.repository, e.sha, previous.finished_at IS NULL AS seed,
                   coalesce(previous.finished_at < e.finished_at - interval '60 days', false) AS long_gap,
                   CASE WHEN e.sha = previous.sha THEN 'redeploy'
                        WHEN EXISTS (SELECT FROM {_STANDING} AS p
                                     WHERE (p.service, p.repository, p.environment)
                                         = (e.service, e.repository, e.environment)
                                       AND p.sha = e.sha AND (p.finished_at, p.id) < (e.finished_at, e.id))
                            THEN 'rollback' END AS again
            FROM {_STANDING} AS e
            LEFT JOIN LATERAL (
                SELECT p.finished_at, p.sha FROM {_STANDING} AS p
                WHERE (p.service, p.repository, p.environment) = (e.service, e.repository, e.environment)
                  AND (p.finished_at, p.id) < (e.finished_at, e.id)
                ORDER BY p.finished_at DESC, p.id DESC LIMIT 1
            ) AS previous ON true
            WHERE e.id = ANY($1)
        ), parts AS (
            UPDATE part SET seed = own.seed, long_gap = own.long_gap, kind = CASE
                WHEN f.rollback AND NOT own.seed THEN 'rollback'
                WHEN f.config_only THEN 'redeploy'
                ELSE coalesce(own.again, 'normal')
            END
            FROM own JOIN deployment f USING (id)
            WHERE (part.deployment, part.repository) = (own.id, own.repository)
        ), whole AS (
            SELECT id, bool_and(again IS NOT DISTINCT FROM 'redeploy') FILTER (WHERE sha <> '') AS redeploy,
                   bool_and(again IS NOT NULL) FILTER (WHERE sha <> '') AS again
            FROM own GROUP BY id
        )
        UPDATE production_deployment d SET
            seed = own.seed,
            long_gap = own.long_gap,
            kind = CASE
                WHEN f.rollback AND NOT own.seed THEN 'rollback'
                WHEN f.config_only OR whole.redeploy THEN 'redeploy'
                WHEN whole.again THEN 'rollback'
                WHEN d.kind IN ('revert', 'hotfix') THEN d.kind
                ELSE 'normal'
            END
        FROM own JOIN whole USING (id) JOIN deployment f USING (id)
        WHERE d.id = own.id AND d.repository = own.repository
        """,  # noqa: S608  # constants
        ids,
    )


async def tell_mends(tx: Connection, ids: Sequence[str]) -> None:
    """Revert: it undoes a change that an earlier one carried. Hotfix: it carries a change that says so.

    The seed mends nothing of ours; a change and its revert in one deployment were never live.
    """
    await tx.execute(
        """
        UPDATE production_deployment d SET kind = CASE
            WHEN d.seed THEN 'normal'
            WHEN EXISTS (SELECT FROM change_link l JOIN change_link o ON (o.change, o.service) = (l.reverts, l.service)
                         WHERE l.deployment = d.id AND (o.deployed_at, o.deployment) < (d.finished_at, d.id))
                THEN 'revert'
            WHEN EXISTS (SELECT FROM change_link l WHERE l.deployment = d.id AND l.hotfix) THEN 'hotfix'
            ELSE 'normal'
        END
        WHERE d.id = ANY($1) AND d.kind IN ('normal', 'revert', 'hotfix')
        """,
        ids,
    )


async def tell_remediated(tx: Connection, ids: Sequence[str]) -> list[Blame]:
    """What these mend, and what the first deployment after each mends (its predecessor may be another now).

    A rollback mends the deployment that followed the version it returns to, or where that was never seen the one
    before itself; a revert the last that carried what it undoes; a hotfix the one before itself. Redeploys are passed
    over. What brought several repositories stands on several timelines: the first that followed, the last before.
    """
    rows = await tx.fetch(
        f"""
        WITH affected AS (
            SELECT d.id FROM production_deployment d WHERE d.id = ANY($1)
            UNION
            SELECT next.id FROM {_STANDING} AS d
            CROSS JOIN LATERAL (
                SELECT n.id FROM {_STANDING} AS n
                WHERE (n.service, n.repository, n.environment) = (d.service, d.repository, d.environment)
                  AND n.kind <> 'redeploy'
                  AND (n.finished_at, n.id) > (d.finished_at, d.id)
                ORDER BY n.finished_at, n.id LIMIT 1
            ) AS next
            WHERE d.id = ANY($1)
        ), blamed AS (
            SELECT d.id, d.remediates AS was, CASE d.kind
                WHEN 'rollback' THEN coalesce(returned.id, before.id)
                WHEN 'revert' THEN (
                    SELECT o.deployment FROM change_link l
                    JOIN change_link o ON (o.change, o.service) = (l.reverts, l.service)
                    WHERE l.deployment = d.id AND (o.deployed_at, o.deployment) < (d.finished_at, d.id)
                    ORDER BY o.deployed_at DESC, o.deployment DESC LIMIT 1)
                WHEN 'hotfix' THEN before.id
            END AS now
            FROM affected JOIN production_deployment d USING (id)
            LEFT JOIN LATERAL (
                SELECT n.id FROM {_STANDING} AS e
                CROSS JOIN LATERAL (
                    SELECT t.finished_at, t.id FROM {_STANDING} AS t
                    WHERE (t.service, t.repository, t.environment) = (e.service, e.repository, e.environment)
                      AND t.sha = e.sha AND (t.finished_at, t.id) < (e.finished_at, e.id)
                    ORDER BY t.finished_at DESC, t.id DESC LIMIT 1
                ) AS target
                CROSS JOIN LATERAL (
                    SELECT n.id, n.finished_at FROM {_STANDING} AS n
                    WHERE (n.service, n.repository, n.environment) = (e.service, e.repository, e.environment)
                      AND (n.finished_at, n.id) > (target.finished_at, target.id)
                      AND (n.finished_at, n.id) < (e.finished_at, e.id)
                    ORDER BY n.finished_at, n.id LIMIT 1
                ) AS n
                WHERE d.kind = 'rollback' AND e.id = d.id AND e.sha <> ''
                ORDER BY n.finished_at, n.id LIMIT 1
            ) AS returned ON true
            LEFT JOIN LATERAL (
                SELECT p.id FROM {_STANDING} AS e
                CROSS JOIN LATERAL (
                    SELECT p.id, p.finished_at FROM {_STANDING} AS p
                    WHERE (p.service, p.repository, p.environment) = (e.service, e.repository, e.environment)
                      AND p.kind <> 'redeploy'
                      AND (p.finished_at, p.id) < (e.finished_at, e.id)
                    ORDER BY p.finished_at DESC, p.id DESC LIMIT 1
                ) AS p
                WHERE e.id = d.id
                ORDER BY p.finished_at DESC, p.id DESC LIMIT 1
            ) AS before ON true
        )
        UPDATE production_deployment d SET remediates = blamed.now
        FROM blamed WHERE d.id = blamed.id
        RETURNING blamed.was, blamed.now
        """,  # noqa: S608  # constants
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
