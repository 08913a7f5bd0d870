"""What belongs together: changes to the deployment that carried them, incidents to the one that caused them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from shared.db import Connection


class Link(msgspec.Struct, frozen=True):
    """A change or incident and the deployment it is linked to."""

    id: str
    deployment: str | None


class IncidentLink(Link, frozen=True):
    service: str | None


async def touched_changes(
    tx: Connection,
    *,
    changes: Sequence[str],
    landed: Sequence[tuple[str, str]],
    pushed: Sequence[tuple[str, str, int]],
) -> list[str]:
    """Merged changes whose place or first commit these facts may move.

    `landed`: (repository, sha) pushed to a default branch. `pushed`: (repository, branch, position) of others; such
    a commit belongs to the first change of that branch merged since, and so does one whose sha landed elsewhere.
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
        SELECT c.id FROM landed
        JOIN change c ON c.repository = landed.repository AND c.merge_sha = landed.sha AND c.merged_at IS NOT NULL
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
) -> list[Link]:
    """`changes`, those that these deployments carried so far, and those that they may take from later ones.

    A deployment carries a run of positions without gaps: going down from its own, the first change that an earlier
    one carries is the end.
    """
    rows = await tx.fetch(
        """
        SELECT of.change, l.deployment FROM unnest($1::text[]) AS of(change) LEFT JOIN change_link l USING (change)
        UNION
        SELECT l.change, l.deployment FROM change_link l WHERE l.deployment = ANY($2::text[] || $3::text[])
        UNION
        SELECT l.change, l.deployment FROM production_deployment d
        CROSS JOIN LATERAL (
            SELECT coalesce((
                SELECT b.position FROM change_link b
                WHERE b.service = d.service AND b.repository = d.repository AND b.position <= d.position
                  AND (b.deployed_at, b.deployment) < (d.finished_at, d.id)
                ORDER BY b.position DESC LIMIT 1), -1) AS position
        ) AS earlier
        JOIN change_link l ON l.service = d.service AND l.repository = d.repository
          AND l.position > earlier.position AND l.position <= d.position
        WHERE d.id = ANY($2) AND d.kind IN ('normal', 'hotfix')
        """,
        changes,
        placed,
        removed,
    )
    return [Link(*row.values()) for row in rows]


async def link_changes(tx: Connection, changes: Sequence[str], services: Mapping[str, str]) -> list[Link]:
    """Link each to the first deployment that reaches its position; `services` maps repositories.

    A position that the branch does not tell is a time: then the method is `time_in_repo`. The first commit is the
    earliest pushed to the change's own branch since that was merged before, and not on the default branch already.
    """
    rows = await tx.fetch(
        """
        INSERT INTO change_link (change, service, repository, merged_at, position, exact, hotfix, first_commit_at,
                                 deployment, deployed_at, method, confidence, lead_time_s)
        SELECT c.id, catalog.service, c.repository, c.merged_at, place.position, place.exact,
               c.head_ref ~ '^hotfix[-/]' OR 'hotfix' = ANY(c.labels), first.authored_at,
               carrier.id, carrier.finished_at,
               CASE WHEN carrier.id IS NULL THEN 'unlinked'
                    WHEN place.exact AND carrier.exact THEN 'branch_position' ELSE 'time_in_repo' END,
               CASE WHEN carrier.id IS NULL THEN 0 WHEN place.exact AND carrier.exact THEN 0.9 ELSE 0.4 END,
               CASE WHEN NOT carrier.seed AND carrier.finished_at >= first.authored_at
                    THEN extract(epoch FROM carrier.finished_at - first.authored_at) END
        FROM unnest($1::text[]) AS dirty(id)
        JOIN change c ON c.id = dirty.id AND c.merged_at IS NOT NULL
        CROSS JOIN LATERAL (
            SELECT ($3::text[])[array_position($2::text[], c.repository)] AS service
        ) AS catalog
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
            SELECT min(b.authored_at) AS authored_at FROM commit b
            WHERE b.repository = c.repository AND b.branch = c.head_ref AND NOT b.on_default
              AND b.position > coalesce(floor(extract(epoch FROM previous.merged_at))::bigint * 10000 + 9999, -1)
              AND b.position <= floor(extract(epoch FROM c.merged_at))::bigint * 10000 + 9999
              AND NOT EXISTS (SELECT FROM commit o
                              WHERE o.repository = b.repository AND o.sha = b.sha AND o.on_default
                                AND o.position / 10000 < landed.position / 10000)
        ) AS first
        LEFT JOIN LATERAL (
            SELECT d.id, d.finished_at, d.exact, d.seed FROM production_deployment d
            WHERE d.service = catalog.service AND d.repository = c.repository AND d.kind IN ('normal', 'hotfix')
              AND d.finished_at >= to_timestamp(place.position / 10000) AND d.position >= place.position
            ORDER BY d.finished_at, d.id LIMIT 1
        ) AS carrier ON true
        ON CONFLICT (change) DO UPDATE SET
            (service, merged_at, position, exact, hotfix, first_commit_at, deployment, deployed_at, method, confidence,
             lead_time_s)
            = (excluded.service, excluded.merged_at, excluded.position, excluded.exact, excluded.hotfix,
               excluded.first_commit_at, excluded.deployment, excluded.deployed_at, excluded.method,
               excluded.confidence, excluded.lead_time_s)
        RETURNING change, deployment
        """,
        changes,
        list(services),
        list(services.values()),
    )
    return [Link(*row.values()) for row in rows]


async def services_of_incidents(tx: Connection, incidents: Sequence[str]) -> list[str]:
    """Where these incidents counted so far."""
    rows = await tx.fetch(
        "SELECT DISTINCT service FROM incident_link WHERE incident = ANY($1) AND service IS NOT NULL", incidents
    )
    return [row["service"] for row in rows]


async def shifted_incidents(
    tx: Connection, *, incidents: Sequence[str], deployments: Sequence[str], moments: Sequence[tuple[str, datetime]]
) -> list[IncidentLink]:
    """`incidents`, those linked to `deployments`, and those opened within a day after one of the (service, time)."""
    rows = await tx.fetch(
        """
        SELECT of.incident, l.deployment, l.service
        FROM unnest($1::text[]) AS of(incident) LEFT JOIN incident_link l USING (incident)
        UNION
        SELECT l.incident, l.deployment, l.service FROM incident_link l WHERE l.deployment = ANY($2)
        UNION
        SELECT l.incident, l.deployment, l.service FROM unnest($3::text[], $4::timestamptz[]) AS moment(service, at)
        JOIN incident_link l ON l.service = moment.service
          AND l.opened_at > moment.at AND l.opened_at <= moment.at + interval '24 hours'
        """,
        incidents,
        deployments,
        [service for service, _ in moments],
        [at for _, at in moments],
    )
    return [IncidentLink(*row.values()) for row in rows]


async def link_incidents(tx: Connection, services: Mapping[str, str | None]) -> list[Link]:
    """Link each (incident to service) to the latest deployment of the service in the 24 hours before it opened.

    Resolved is the last resolve that no reopening followed; one that was merged into another incident is none.
    """
    rows = await tx.fetch(
        """
        INSERT INTO incident_link (incident, service, opened_at, resolved_at, deployment, method, confidence)
        SELECT i.id, dirty.service, i.opened_at, last.resolved_at, cause.id,
               CASE WHEN cause.id IS NULL THEN 'unlinked' ELSE 'same_service' END,
               CASE WHEN cause.id IS NULL THEN 0 WHEN cause.candidates = 1 THEN 0.7 ELSE 0.5 END
        FROM unnest($1::text[], $2::text[]) AS dirty(id, service)
        JOIN incident i USING (id)
        LEFT JOIN LATERAL (
            SELECT CASE WHEN t.kind = 'resolved' AND t.reason <> 'merged' THEN t.occurred_at END AS resolved_at
            FROM incident_transition t
            WHERE t.incident = i.id AND t.kind IN ('reopened', 'resolved')
            ORDER BY t.occurred_at DESC, t.kind DESC LIMIT 1
        ) AS last ON true
        LEFT JOIN LATERAL (
            SELECT d.id, count(*) OVER () AS candidates FROM production_deployment d
            WHERE d.service = dirty.service AND d.kind <> 'redeploy'
              AND d.finished_at < i.opened_at AND d.finished_at >= i.opened_at - interval '24 hours'
            ORDER BY d.finished_at DESC, d.id DESC LIMIT 1
        ) AS cause ON true
        ON CONFLICT (incident) DO UPDATE SET
            (service, opened_at, resolved_at, deployment, method, confidence)
            = (excluded.service, excluded.opened_at, excluded.resolved_at, excluded.deployment, excluded.method,
               excluded.confidence)
        RETURNING incident, deployment
        """,
        list(services),
        list(services.values()),
    )
    return [Link(*row.values()) for row in rows]
