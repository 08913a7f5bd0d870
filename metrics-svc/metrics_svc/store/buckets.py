"""Daily buckets: what a service's deployments to an environment amounted to on a day in UTC, kept up as facts come."""

from collections.abc import Mapping, Sequence
from datetime import date

import msgspec
from asyncpg import Record

from shared.contracts.events.metric import Numbers
from shared.db import Connection


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket that is not what it was; None where there was, or is, none. `revision` grows with each change."""

    service: str
    environment: str
    day: date
    revision: int
    before: Numbers | None
    after: Numbers | None


class Total(msgspec.Struct, frozen=True):
    deployments: int
    failed: int


# `dirty` are (service, environment, day). The rules are those of `metrics_svc.dora`; a test compares both.
_STORE = """
, numbers AS (
    SELECT dirty.service, dirty.environment, dirty.day, done.deployments, done.failed, done.rework, led.n AS lead_n,
           led.p50 AS lead_p50_s, recovered.n AS recovery_n, recovered.p50 AS recovery_p50_s
    FROM dirty
    CROSS JOIN LATERAL (
        SELECT dirty.day::timestamp AT TIME ZONE 'UTC' AS start, (dirty.day + 1)::timestamp AT TIME ZONE 'UTC' AS stop
    ) AS span
    CROSS JOIN LATERAL (
        SELECT count(*)::int AS deployments, (count(*) FILTER (WHERE d.failed))::int AS failed,
               (count(*) FILTER (WHERE d.kind IN ('rollback', 'revert', 'hotfix')))::int AS rework
        FROM production_deployment d
        WHERE d.service = dirty.service AND d.environment = dirty.environment AND d.kind <> 'redeploy'
          AND d.finished_at >= span.start AND d.finished_at < span.stop
    ) AS done
    CROSS JOIN LATERAL (
        SELECT count(l.lead_time_s)::int AS n, percentile_cont(0.5) WITHIN GROUP (ORDER BY l.lead_time_s) AS p50
        FROM production_deployment d
        CROSS JOIN LATERAL (SELECT c.lead_time_s FROM change_link c WHERE c.deployment = d.id OFFSET 0) AS l
        WHERE d.service = dirty.service AND d.environment = dirty.environment
          AND d.finished_at >= span.start AND d.finished_at < span.stop
    ) AS led
    CROSS JOIN LATERAL (
        SELECT count(*)::int AS n, percentile_cont(0.5) WITHIN GROUP (
                   ORDER BY extract(epoch FROM d.recovered_at - d.finished_at)::float8) AS p50
        FROM production_deployment d
        WHERE d.service = dirty.service AND d.environment = dirty.environment AND d.kind <> 'redeploy' AND d.failed
          AND d.recovered_at >= span.start AND d.recovered_at < span.stop
    ) AS recovered
), before AS (
    SELECT b.* FROM bucket b JOIN dirty USING (service, environment, day)
), gone AS (
    DELETE FROM bucket b USING numbers n
    WHERE (b.service, b.environment, b.day) = (n.service, n.environment, n.day)
      AND n.deployments = 0 AND n.recovery_n = 0
    RETURNING b.service, b.environment, b.day, b.revision + 1 AS revision, NULL::bucket AS after
), stored AS (
    INSERT INTO bucket AS b (service, environment, day, deployments, failed, rework, lead_n, lead_p50_s, recovery_n,
                             recovery_p50_s, causes, revision)
    SELECT n.*, ARRAY(SELECT DISTINCT cause.delivery FROM unnest($2::text[], $3::text[]) AS cause(service, delivery)
                      WHERE cause.service = n.service ORDER BY 1),
           coalesce((SELECT max(p.revision) + 2 FROM bucket_past p
                     WHERE (p.service, p.environment, p.day) = (n.service, n.environment, n.day)), 1)
    FROM numbers n WHERE n.deployments > 0 OR n.recovery_n > 0
    ORDER BY n.service, n.environment, n.day
    ON CONFLICT (service, environment, day) DO UPDATE SET
        (deployments, failed, rework, lead_n, lead_p50_s, recovery_n, recovery_p50_s, causes, revision)
        = (excluded.deployments, excluded.failed, excluded.rework, excluded.lead_n, excluded.lead_p50_s,
           excluded.recovery_n, excluded.recovery_p50_s, excluded.causes, b.revision + 1)
    WHERE (b.deployments, b.failed, b.rework, b.lead_n, b.lead_p50_s, b.recovery_n, b.recovery_p50_s)
        IS DISTINCT FROM (excluded.deployments, excluded.failed, excluded.rework, excluded.lead_n,
                          excluded.lead_p50_s, excluded.recovery_n, excluded.recovery_p50_s)
    RETURNING b.service, b.environment, b.day, b.revision, b AS after
)
SELECT moved.service, moved.environment, moved.day, moved.revision, to_jsonb(before) AS before,
       to_jsonb(moved.after) AS after
FROM (SELECT * FROM gone UNION ALL SELECT * FROM stored) AS moved
LEFT JOIN before USING (service, environment, day)
ORDER BY moved.service, moved.environment, moved.day
"""
_OF_DEPLOYMENTS = """
WITH moved AS (
    SELECT service, environment, finished_at, recovered_at FROM production_deployment WHERE id = ANY($1)
    UNION ALL
    SELECT service, environment, finished_at, recovered_at FROM production_deployment_past
    WHERE known_until = nullif(current_setting('em.known_at', true), '')::timestamptz
), dirty AS (
    SELECT service, environment, (finished_at AT TIME ZONE 'UTC')::date AS day FROM moved
    UNION
    SELECT service, environment, (recovered_at AT TIME ZONE 'UTC')::date FROM moved WHERE recovered_at IS NOT NULL
)
"""
_ALL = """
WITH dirty AS (
    SELECT service, environment, (finished_at AT TIME ZONE 'UTC')::date AS day FROM production_deployment
    UNION
    SELECT service, environment, (recovered_at AT TIME ZONE 'UTC')::date FROM production_deployment
    WHERE recovered_at IS NOT NULL
    UNION
    SELECT service, environment, day FROM bucket
    WHERE $1::text[] IS NOT NULL
)
"""


async def refresh(tx: Connection, deployments: Sequence[str], causes: Mapping[str, Sequence[str]]) -> list[Change]:
    """The days on which these stand, or stood before this transaction. `causes`: deliveries, by service."""
    return await _store(tx, _OF_DEPLOYMENTS, deployments, causes)


async def refresh_all(tx: Connection) -> list[Change]:
    """Every day of everything: after a rebuild."""
    return await _store(tx, _ALL, [], {})


async def totals(tx: Connection) -> dict[tuple[str, str], Total]:
    """Over all days, by service and environment."""
    rows = await tx.fetch(
        "SELECT service, environment, sum(deployments)::int, sum(failed)::int FROM bucket GROUP BY 1, 2 ORDER BY 1, 2"
    )
    return {(row[0], row[1]): Total(row[2], row[3]) for row in rows}


async def _store(
    tx: Connection, dirty: str, deployments: Sequence[str], causes: Mapping[str, Sequence[str]]
) -> list[Change]:
    told = [(service, delivery) for service, deliveries in causes.items() for delivery in deliveries]
    rows = await tx.fetch(
        dirty + _STORE, deployments, [service for service, _ in told], [delivery for _, delivery in told]
    )
    return [_change(row) for row in rows]


def _change(row: Record) -> Change:
    return Change(
        service=row["service"],
        environment=row["environment"],
        day=row["day"],
        revision=row["revision"],
        before=_numbers(row["before"]),
        after=_numbers(row["after"]),
    )


def _numbers(text: str | None) -> Numbers | None:
    return msgspec.json.decode(text, type=Numbers | None) if text else None
