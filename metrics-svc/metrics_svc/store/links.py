"""What belongs together: changes to the deployment that carried them, incidents to the one that caused them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from shared.db import Connection

# What brings changes of a repository, and how far along its branch it reaches.
_REACHING = """(
    SELECT id, service, repository, finished_at, position, exact, branch, mapped, seed, long_gap
    FROM production_deployment WHERE kind IN ('normal', 'revert', 'hotfix')
    UNION ALL
    SELECT deployment, service, repository, finished_at, position, exact, branch, mapped, seed, long_gap
    FROM part WHERE kind = 'normal'
)"""


class Link(msgspec.Struct, frozen=True):
    """A change or incident and the deployment it is linked to."""

    id: str
    deployment: str | None


class ChangeLink(Link, frozen=True):
    """`service` is None where the change has not been linked yet, `deployed_at` where no deployment carries it."""

    service: str | None
    deployed_at: datetime | None


class IncidentLink(Link, frozen=True):
    service: str | None


async def touched_changes(
    tx: Connection,
    *,
    changes: Sequence[str],
    landed: Sequence[tuple[str, str]],
    pushed: Sequence[tuple[str, str, int]],
) -> list[str]:
    """Merged changes whose place, first commit or original these facts may move.

    `landed`: (repository, sha) of pushes. `pushed`: (repository, branch, position) of those to other branches than
    the default; such a commit belongs to the first change of that branch merged since, and so does one whose sha
    landed elsewhere.
    """
    rows = await tx.fetch(
        """
        WITH landed AS (SELECT * FROM unnest($2::text[], $3::text[]) AS landed(repository, sha)),
        branch AS (
            SELECT * FROM unnest($4::text[], $5::text[], $6::bigint[]) AS pushed(repository, name, position)
            UNION
            SELECT c.repository, c.branch, c.position FROM landed
            JOIN commit c ON c.repository = landed.repository AND c.sha = landed.sha AND NOT c.on_default
        ), merged AS (SELECT * FROM change WHERE id = ANY($1) AND merged_at IS NOT NULL)
        SELECT id FROM merged
        UNION
        SELECT next.id FROM merged CROSS JOIN LATERAL (
            SELECT c.id FROM change c
            WHERE c.repository = merged.repository AND c.head_ref = merged.head_ref
              AND (c.merged_at, c.id) > (merged.merged_at, merged.id)
            ORDER BY c.merged_at, c.id LIMIT 1
        ) AS next
        UNION
        SELECT of.id FROM landed CROSS JOIN LATERAL (
            SELECT c.id FROM change c
            WHERE c.repository = landed.repository AND c.merge_sha = landed.sha AND c.merged_at IS NOT NULL OFFSET 0
        ) AS of
        UNION
        SELECT undo.id FROM merged CROSS JOIN LATERAL (
            (SELECT r.id FROM change r WHERE r.repository = merged.repository AND r.reverts_number = merged.number
               AND r.merged_at IS NOT NULL OFFSET 0)
            UNION ALL
            (SELECT r.id FROM change r WHERE r.repository = merged.repository AND r.reverts_title = merged.title
               AND r.merged_at IS NOT NULL OFFSET 0)
            UNION ALL
            (SELECT l.change FROM change_link l WHERE l.reverts = merged.id OFFSET 0)
        ) AS undo
        UNION
        SELECT first.id FROM branch CROSS JOIN LATERAL (
            SELECT c.id FROM change c
            WHERE c.repository = branch.repository AND c.head_ref = branch.name
              AND c.merged_at >= to_timestamp(branch.position / 10000)
            ORDER BY c.merged_at, c.id LIMIT 1
        ) AS first
        """,
        changes,
        [repository for repository, _ in landed],
        [sha for _, sha in landed],
        [repository for repository, _, _ in pushed],
        [branch for _, branch, _ in pushed],
        [position for _, _, position in pushed],
    )
    return [row["id"] for row in rows]


async def shifted_changes(
    tx: Connection, *, changes: Sequence[str], placed: Sequence[str], removed: Sequence[str]
) -> list[ChangeLink]:
    """`changes`, those that these deployments carried so far, and those that they may take from later ones.

    A deployment carries a run of positions without gaps: going down from its own, the first change that an earlier
    one carries is the end (not one that was listed). On another branch than the default, the run goes down to the
    deployment before it on that branch. What it says it carries may lie anywhere.
    """
    rows = await tx.fetch(
        f"""
        SELECT of.change, l.deployment, l.service, l.deployed_at
        FROM unnest($1::text[]) AS of(change) LEFT JOIN change_link l USING (change)
        UNION
        SELECT l.change, l.deployment, l.service, l.deployed_at FROM change_link l
        WHERE l.deployment = ANY($2::text[] || $3::text[])
        UNION
        SELECT l.change, l.deployment, l.service, l.deployed_at FROM {_REACHING} AS d
        CROSS JOIN LATERAL (
            SELECT coalesce((
                SELECT b.position FROM change_link b
                WHERE b.service = d.service AND b.repository = d.repository AND b.position <= d.position
                  AND b.method IN ('branch_position', 'digest_map', 'time_in_repo')
                  AND (b.deployed_at, b.deployment) < (d.finished_at, d.id)
                ORDER BY b.position DESC LIMIT 1), -1) AS position
        ) AS earlier
        JOIN change_link l ON l.service = d.service AND l.repository = d.repository
          AND l.position > earlier.position AND l.position <= d.position
        WHERE d.id = ANY($2) AND coalesce(d.branch, '') = ''
        UNION
        SELECT c.id, l.deployment, l.service, l.deployed_at FROM {_REACHING} AS d
        CROSS JOIN LATERAL (
            SELECT coalesce((
                SELECT p.position FROM {_REACHING} AS p
                WHERE p.service = d.service AND p.repository = d.repository AND p.branch = d.branch AND p.branch <> ''
                  AND (p.finished_at, p.id) < (d.finished_at, d.id)
                ORDER BY p.finished_at DESC, p.id DESC LIMIT 1), -1) AS position
        ) AS earlier
        JOIN commit m ON m.repository = d.repository AND m.branch = d.branch
          AND m.position > earlier.position AND m.position <= d.position
        JOIN change c ON c.repository = d.repository AND c.merge_sha = m.sha AND c.merged_at IS NOT NULL
        LEFT JOIN change_link l ON l.change = c.id
        WHERE d.id = ANY($2) AND d.branch <> ''
        UNION
        SELECT c.id, l.deployment, l.service, l.deployed_at FROM carried k
        CROSS JOIN LATERAL (SELECT * FROM production_deployment e WHERE e.id = k.deployment OFFSET 0) AS d
        JOIN repository r ON r.service = d.service AND (
            k.repository = r.name OR k.repository = '' AND (k.item NOT LIKE '#%' OR r.name = d.repository))
        CROSS JOIN LATERAL (
            SELECT n.id FROM change n WHERE n.repository = r.name AND '#' || n.number = k.item
              AND n.number = nullif(ltrim(k.item, '#'), k.item)::integer
            UNION
            SELECT n.id FROM change n WHERE n.repository = r.name AND n.merge_sha = k.item
            UNION
            SELECT n.id FROM commit b JOIN change n ON n.repository = b.repository AND n.head_ref = b.branch
            WHERE b.repository = r.name AND b.sha = k.item AND n.head_sha = k.item
        ) AS c
        JOIN change m ON m.id = c.id AND m.merged_at IS NOT NULL
        LEFT JOIN change_link l ON l.change = c.id
        WHERE k.deployment = ANY($2)
        """,  # noqa: S608  # constants
        changes,
        placed,
        removed,
    )
    return [ChangeLink(*row.values()) for row in rows]


async def link_changes(tx: Connection, changes: Sequence[str]) -> list[ChangeLink]:
    """Link each, for every service that it is of, to the deployment that lists it, else to the first that reaches it.

    Reaching is by position on the default branch, or on another one that got the change's commit and is deployed
    from. A position that the branch does not tell is a time: then the method is `time_in_repo`. The first commit is
    the earliest pushed to the change's own branch since that was merged before, and not on the default branch
    already; merges are nobody's.
    """
    rows = await tx.fetch(
        """
        WITH gone AS (
            DELETE FROM change_link l WHERE l.change = ANY($1)
              AND NOT EXISTS (SELECT FROM change_flow f WHERE (f.change, f.service) = (l.change, l.service))
        )
        INSERT INTO change_link (change, service, repository, merged_at, position, exact, hotfix, reverts,
                                 first_commit_at, commit_times, deployment, deployed_at, method, confidence,
                                 lead_time_s)
        SELECT c.id, catalog.service, c.repository, c.merged_at, place.position, place.exact,
               c.head_ref ~ '^(hotfix|incident)[-/]' OR c.labels && '{hotfix,incident}'
                   OR c.title ~* '^[[(]?(hotfix|incident)\\M',
               original.id, own.first_at, own.times, carrier.id, carrier.finished_at, how.method, how.confidence,
               CASE WHEN NOT carrier.seed AND NOT carrier.long_gap AND carrier.finished_at >= own.first_at
                    THEN extract(epoch FROM carrier.finished_at - own.first_at) END
        FROM unnest($1::text[]) AS dirty(id)
        JOIN change c ON c.id = dirty.id AND c.merged_at IS NOT NULL
        JOIN change_flow catalog ON catalog.change = c.id
        CROSS JOIN LATERAL (
            SELECT min(m.position) AS position FROM commit m
            WHERE m.repository = c.repository AND m.sha = c.merge_sha AND m.on_default
        ) AS landed
        CROSS JOIN LATERAL (
            SELECT coalesce(landed.position, floor(extract(epoch FROM c.merged_at))::bigint * 10000) AS position,
                   landed.position IS NOT NULL AS exact
        ) AS place
        LEFT JOIN LATERAL (
            SELECT p.merged_at FROM change p
            WHERE p.repository = c.repository AND p.head_ref = c.head_ref
              AND (p.merged_at, p.id) < (c.merged_at, c.id)
            ORDER BY p.merged_at DESC, p.id DESC LIMIT 1
        ) AS previous ON true
        CROSS JOIN LATERAL (
            SELECT min(b.authored_at) AS first_at, array_agg(b.authored_at ORDER BY b.authored_at) AS times
            FROM commit b
            WHERE b.repository = c.repository AND b.branch = c.head_ref AND NOT b.on_default
              AND b.position > coalesce(floor(extract(epoch FROM previous.merged_at))::bigint * 10000 + 9999, -1)
              AND b.position <= floor(extract(epoch FROM c.merged_at))::bigint * 10000 + 9999
              AND b.authored_at IS NOT NULL AND NOT b.merge
              AND NOT EXISTS (SELECT FROM commit o
                              WHERE o.repository = b.repository AND o.sha = b.sha AND o.on_default
                                AND o.position / 10000 < landed.position / 10000)
        ) AS own
        LEFT JOIN LATERAL (
            (SELECT o.id, o.merged_at FROM change o
             WHERE o.repository = c.repository AND o.number = c.reverts_number AND o.merged_at IS NOT NULL
               AND (o.merged_at, o.id) < (c.merged_at, c.id))
            UNION ALL
            (SELECT o.id, o.merged_at FROM (
                SELECT t.id, t.merged_at FROM change t
                WHERE c.reverts_number IS NULL AND t.repository = c.repository AND t.title = c.reverts_title
                  AND md5(t.title) = md5(c.reverts_title) AND t.merged_at IS NOT NULL OFFSET 0
             ) AS o WHERE (o.merged_at, o.id) < (c.merged_at, c.id))
            ORDER BY merged_at DESC, id DESC LIMIT 1
        ) AS original ON true
        LEFT JOIN LATERAL (
            SELECT found.* FROM (
                (SELECT 0 AS way, d.id, d.finished_at, coalesce(part.seed, d.seed) AS seed,
                        coalesce(part.long_gap, d.long_gap) AS long_gap, d.exact, d.mapped
                 FROM carried k
                 CROSS JOIN LATERAL (SELECT * FROM production_deployment e WHERE e.id = k.deployment OFFSET 0) AS d
                 LEFT JOIN part ON part.deployment = d.id AND part.repository = c.repository
                 WHERE k.repository IN (c.repository, '') AND k.item IN ('#' || c.number, c.merge_sha, c.head_sha)
                   AND (k.repository <> '' OR k.item <> '#' || c.number OR d.repository = c.repository)
                   AND d.service = catalog.service AND d.kind IN ('normal', 'revert', 'hotfix')
                 ORDER BY d.finished_at, d.id LIMIT 1)
                UNION ALL
                (SELECT 1, d.id, d.finished_at, d.seed, d.long_gap, d.exact, d.mapped FROM production_deployment d
                 WHERE d.service = catalog.service AND d.repository = c.repository
                   AND d.kind IN ('normal', 'revert', 'hotfix') AND coalesce(d.branch, '') = ''
                   AND d.finished_at >= to_timestamp(place.position / 10000) AND d.position >= place.position
                 ORDER BY d.finished_at, d.id LIMIT 1)
                UNION ALL
                (SELECT 1, d.deployment, d.finished_at, d.seed, d.long_gap, d.exact, d.mapped FROM part d
                 WHERE d.service = catalog.service AND d.repository = c.repository
                   AND d.kind = 'normal' AND coalesce(d.branch, '') = ''
                   AND d.finished_at >= to_timestamp(place.position / 10000) AND d.position >= place.position
                 ORDER BY d.finished_at, d.deployment LIMIT 1)
                UNION ALL
                (SELECT 2, d.id, d.finished_at, d.seed, d.long_gap, d.exact, d.mapped FROM (
                    SELECT m.branch, min(m.position) AS position FROM commit m
                    WHERE m.repository = c.repository AND m.sha = c.merge_sha AND NOT m.on_default GROUP BY 1
                 ) AS promoted
                 CROSS JOIN LATERAL (
                    (SELECT e.id, e.finished_at, e.seed, e.long_gap, e.exact, e.mapped FROM production_deployment e
                     WHERE e.service = catalog.service AND e.repository = c.repository AND e.branch = promoted.branch
                       AND e.branch <> '' AND e.kind IN ('normal', 'revert', 'hotfix')
                       AND e.finished_at >= to_timestamp(promoted.position / 10000) AND e.position >= promoted.position
                     ORDER BY e.finished_at, e.id LIMIT 1)
                    UNION ALL
                    (SELECT e.deployment, e.finished_at, e.seed, e.long_gap, e.exact, e.mapped FROM part e
                     WHERE e.service = catalog.service AND e.repository = c.repository AND e.branch = promoted.branch
                       AND e.branch <> '' AND e.kind = 'normal'
                       AND e.finished_at >= to_timestamp(promoted.position / 10000) AND e.position >= promoted.position
                     ORDER BY e.finished_at, e.deployment LIMIT 1)
                 ) AS d
                 ORDER BY d.finished_at, d.id LIMIT 1)
            ) AS found ORDER BY found.way > 0, found.finished_at, found.id LIMIT 1
        ) AS carrier ON true
        CROSS JOIN LATERAL (
            SELECT CASE WHEN carrier.id IS NULL THEN 'unlinked'
                        WHEN carrier.way = 0 THEN 'explicit_commits'
                        WHEN carrier.way = 2 THEN 'branch_graph'
                        WHEN NOT (place.exact AND carrier.exact) THEN 'time_in_repo'
                        WHEN carrier.mapped THEN 'digest_map'
                        ELSE 'branch_position' END AS method
        ) AS named
        JOIN (VALUES ('unlinked', 0), ('explicit_commits', 1), ('branch_graph', 0.7), ('time_in_repo', 0.4),
                     ('digest_map', 0.9), ('branch_position', 0.9)) AS how(method, confidence) USING (method)
        ON CONFLICT (change, service) DO UPDATE SET
            (merged_at, position, exact, hotfix, reverts, first_commit_at, commit_times, deployment,
             deployed_at, method, confidence, lead_time_s)
            = (excluded.merged_at, excluded.position, excluded.exact, excluded.hotfix,
               excluded.reverts, excluded.first_commit_at, excluded.commit_times, excluded.deployment,
               excluded.deployed_at, excluded.method, excluded.confidence, excluded.lead_time_s)
        RETURNING change, deployment, service, deployed_at
        """,
        changes,
    )
    return [ChangeLink(*row.values()) for row in rows]


async def reverted_by(tx: Connection, changes: Sequence[str]) -> list[str]:
    """Deployments that carry a revert of one of these."""
    rows = await tx.fetch(
        "SELECT DISTINCT deployment FROM change_link WHERE reverts = ANY($1) AND deployment IS NOT NULL", changes
    )
    return [row["deployment"] for row in rows]


async def services_of_incidents(tx: Connection, incidents: Sequence[str]) -> list[str]:
    """Where these incidents counted so far."""
    rows = await tx.fetch(
        "SELECT DISTINCT service FROM incident_link WHERE incident = ANY($1) AND service IS NOT NULL", incidents
    )
    return [row["service"] for row in rows]


async def shifted_incidents(
    tx: Connection,
    *,
    incidents: Sequence[str],
    deployments: Sequence[str],
    moments: Sequence[tuple[str, datetime, float]],
) -> list[IncidentLink]:
    """`incidents`, those linked to `deployments` or said to be caused by them, and those opened soon after.

    A moment is (service, time, hours that count as soon).
    """
    rows = await tx.fetch(
        """
        SELECT of.incident, l.deployment, l.service
        FROM unnest($1::text[]) AS of(incident) LEFT JOIN incident_link l USING (incident)
        UNION
        SELECT l.incident, l.deployment, l.service FROM incident_link l WHERE l.deployment = ANY($2)
        UNION
        SELECT l.incident, l.deployment, l.service FROM deployment f
        JOIN incident_cause k ON left(k.item, 7) IN (left(f.deployment_id, 7), left(f.commit_sha, 7))
          AND (k.item = f.deployment_id OR (length(k.item) >= 7 AND starts_with(f.commit_sha, k.item)))
        JOIN incident_link l USING (incident)
        WHERE f.id = ANY($2)
        UNION
        SELECT l.incident, l.deployment, l.service FROM part p
        JOIN incident_cause k ON left(k.item, 7) = left(p.sha, 7) AND length(k.item) >= 7 AND starts_with(p.sha, k.item)
        JOIN incident_link l USING (incident)
        WHERE p.deployment = ANY($2)
        UNION
        SELECT l.incident, l.deployment, l.service
        FROM unnest($3::text[], $4::timestamptz[], $5::float8[]) AS moment(service, at, hours)
        JOIN incident_link l ON l.service = moment.service
          AND l.opened_at > moment.at AND l.opened_at <= moment.at + interval '1 hour' * moment.hours
        """,
        incidents,
        deployments,
        [service for service, _, _ in moments],
        [at for _, at, _ in moments],
        [hours for _, _, hours in moments],
    )
    return [IncidentLink(*row.values()) for row in rows]


async def link_incidents(
    tx: Connection, services: Mapping[str, str | None], hours: Mapping[str | None, float]
) -> list[Link]:
    """Link each (incident to service) to the deployment that it is said to be caused by, else to the latest before.

    The latest of the service in the `hours` before it opened. Resolved is the last resolve that no reopening
    followed; one that was merged into another incident is none.
    """
    rows = await tx.fetch(
        """
        INSERT INTO incident_link (incident, service, opened_at, resolved_at, deployment, method, confidence)
        SELECT i.id, dirty.service, i.opened_at, last.resolved_at, cause.id, coalesce(cause.method, 'unlinked'),
               CASE WHEN cause.id IS NULL THEN 0 WHEN cause.method = 'explicit' THEN 1
                    WHEN cause.method = 'note' THEN 0.9 WHEN cause.candidates = 1 THEN 0.7 ELSE 0.5 END
        FROM unnest($1::text[], $2::text[], $3::float8[]) AS dirty(id, service, hours)
        JOIN incident i USING (id)
        LEFT JOIN LATERAL (
            SELECT CASE WHEN t.kind = 'resolved' AND t.reason <> 'merged' THEN t.occurred_at END AS resolved_at
            FROM incident_transition t
            WHERE t.incident = i.id AND t.kind IN ('reopened', 'resolved')
            ORDER BY t.occurred_at DESC, t.kind DESC LIMIT 1
        ) AS last ON true
        LEFT JOIN LATERAL (
            (SELECT 0 AS way, d.id, k.method, 1 AS candidates FROM incident_cause k
             CROSS JOIN LATERAL (
                SELECT e.* FROM deployment f JOIN production_deployment e USING (id)
                WHERE f.deployment_id = k.item AND e.service = dirty.service
                UNION
                SELECT e.* FROM production_deployment e
                WHERE e.service = dirty.service AND length(k.item) >= 7
                  AND e.sha ~>=~ k.item AND e.sha ~<~ (k.item || 'g')
                UNION
                SELECT e.* FROM part p JOIN production_deployment e ON e.id = p.deployment
                WHERE p.service = dirty.service AND length(k.item) >= 7
                  AND p.sha ~>=~ k.item AND p.sha ~<~ (k.item || 'g')
             ) AS d
             WHERE k.incident = i.id AND d.kind <> 'redeploy'
             ORDER BY k.method, d.finished_at > i.opened_at, d.finished_at DESC, d.id DESC LIMIT 1)
            UNION ALL
            (SELECT 1, d.id, 'same_service', count(*) OVER () FROM production_deployment d
             WHERE d.service = dirty.service AND d.kind <> 'redeploy' AND d.finished_at < i.opened_at
               AND d.finished_at >= i.opened_at - interval '1 hour' * dirty.hours
             ORDER BY d.finished_at DESC, d.id DESC LIMIT 1)
            ORDER BY way LIMIT 1
        ) AS cause ON true
        ON CONFLICT (incident) DO UPDATE SET
            (service, opened_at, resolved_at, deployment, method, confidence)
            = (excluded.service, excluded.opened_at, excluded.resolved_at, excluded.deployment, excluded.method,
               excluded.confidence)
        RETURNING incident, deployment
        """,
        list(services),
        list(services.values()),
        [hours[service] for service in services.values()],
    )
    return [Link(*row.values()) for row in rows]
