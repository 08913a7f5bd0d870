"""Reading what the definitions of other tools are computed from: a window, and what they look at around it.

First which deployments and changes are wanted, one question each; then their rows.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from asyncpg import Record

from metrics_svc.definitions.history import Attempt, Change, History, Incident
from metrics_svc.meaning import service_of
from metrics_svc.window import Window
from shared.catalog import Catalog
from shared.db import Connection

# What stands on timelines of the default branch: deployments, and what they brought of other repositories.
_STANDING = """(
    SELECT id, service, repository, environment, finished_at, position FROM production_deployment WHERE exact
    UNION ALL
    SELECT deployment, service, repository, environment, finished_at, position FROM part WHERE exact
)"""


class Branch(msgspec.Struct, frozen=True):
    """One that changes were merged into."""

    repository: str
    name: str


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment to anywhere that did not succeed."""

    id: str
    source: str
    repository: str
    service_name: str
    environment: str
    outcome: str
    started_at: datetime | None
    finished_at: datetime


async def history(tx: Connection, services: Sequence[str], window: Window, catalog: Catalog) -> dict[str, History]:
    """Of each of these services. In a transaction that sees one state (`reading.snapshot`)."""
    branches = await _branches(tx, services)
    landed = await _landed(tx, services, window)
    attempts = await _attempts(
        tx,
        [
            *await _shipped(tx, services, window),
            *await _previous(tx, services, window),
            *await _earlier_carriers(tx, landed, window),
            *await _later_runs(tx, services, window, branches),
        ],
        branches,
    )
    changes = await _changes(
        tx,
        [
            *landed,
            *await _merged(tx, services, window),
            *await _reverts(tx, services, window),
            *await _promotions(tx, services, window, branches),
        ],
    )
    incidents = await _incidents(tx, services, window)
    failed = _in_production(await _unsuccessful(tx, window), services, catalog)
    return {
        service: History(
            attempts=[*attempts[service], *failed[service]], changes=changes[service], incidents=incidents[service]
        )
        for service in services
    }


async def _branches(tx: Connection, services: Sequence[str]) -> list[Branch]:
    rows = await tx.fetch(
        """
        SELECT DISTINCT c.repository, c.base_ref FROM repository r JOIN change c ON c.repository = r.name
        WHERE r.service = ANY($1) AND c.merged_at IS NOT NULL
        """,
        services,
    )
    return [Branch(*row.values()) for row in rows]


# ---- which deployments -------------------------------------------------------------------------------------------


async def _shipped(tx: Connection, services: Sequence[str], window: Window) -> list[str]:
    """Production deployments that began or finished in the window."""
    rows = await tx.fetch(
        """
        SELECT d.id FROM production_deployment d JOIN deployment f USING (id)
        WHERE d.service = ANY($1) AND d.finished_at >= $2 AND coalesce(f.started_at, d.finished_at) < $3
        """,
        services,
        window.start,
        window.end,
    )
    return _ids(rows)


async def _previous(tx: Connection, services: Sequence[str], window: Window) -> list[str]:
    """Where the window's first diffs begin, per repository and environment."""
    rows = await tx.fetch(
        f"""
        SELECT previous.id FROM (
            SELECT DISTINCT service, repository, environment FROM {_STANDING} AS d
            WHERE service = ANY($1) AND finished_at >= $2 AND finished_at < $3
        ) AS timeline
        CROSS JOIN LATERAL (
            SELECT p.id FROM {_STANDING} AS p
            WHERE p.service = timeline.service AND p.repository = timeline.repository
              AND p.environment = timeline.environment AND p.finished_at < $2
            ORDER BY p.finished_at DESC, p.id DESC LIMIT 1
        ) AS previous
        """,  # noqa: S608  # constants
        services,
        window.start,
        window.end,
    )
    return _ids(rows)


async def _earlier_carriers(tx: Connection, changes: Sequence[str], window: Window) -> list[str]:
    """What first carried these before the window: after a rollback they are in a later diff as well."""
    rows = await tx.fetch(
        "SELECT DISTINCT deployment AS id FROM change_link WHERE change = ANY($1) AND deployed_at < $2",
        changes,
        window.start,
    )
    return _ids(rows)


async def _later_runs(tx: Connection, services: Sequence[str], window: Window, branches: Sequence[Branch]) -> list[str]:
    """The first after the window of each branch that changes were merged into in it, or were promoted to since."""
    rows = await tx.fetch(
        """
        WITH branch AS MATERIALIZED (
            SELECT * FROM unnest($4::text[], $5::text[]) AS branch(repository, name)
        ), moment AS (
            SELECT DISTINCT l.service, c.repository, c.base_ref, greatest(l.merged_at, $3) AS since
            FROM change_link l JOIN change c ON c.id = l.change
            WHERE l.service = ANY($1) AND l.merged_at >= $2
              AND (l.merged_at < $3 OR (c.repository, c.head_ref) IN (SELECT repository, name FROM branch))
        )
        SELECT run.id FROM moment CROSS JOIN LATERAL (
            SELECT d.id FROM production_deployment d
            JOIN deployment f USING (id)
            LEFT JOIN branch b ON b.repository = d.repository AND b.name = regexp_replace(f.ref, '^refs/heads/', '')
            WHERE d.service = moment.service AND d.repository = moment.repository AND d.finished_at >= moment.since
              AND coalesce(f.started_at, d.finished_at) >= moment.since
              AND coalesce(b.name, '') IN (moment.base_ref, '')
            ORDER BY coalesce(f.started_at, d.finished_at), d.id LIMIT 1
        ) AS run
        """,
        services,
        window.start,
        window.end,
        [branch.repository for branch in branches],
        [branch.name for branch in branches],
    )
    return _ids(rows)


# ---- which changes -----------------------------------------------------------------------------------------------


async def _landed(tx: Connection, services: Sequence[str], window: Window) -> list[str]:
    """What is in a diff of the window, but for what its rollbacks took back: that was carried before.

    Without a deployment before the window, the first one's diff is everything.
    """
    rows = await tx.fetch(
        f"""
        SELECT DISTINCT l.change AS id FROM (
            SELECT service, repository, environment, max(position) AS highest
            FROM {_STANDING} AS d
            WHERE service = ANY($1) AND finished_at >= $2 AND finished_at < $3
            GROUP BY service, repository, environment
        ) AS timeline
        LEFT JOIN LATERAL (
            SELECT p.position FROM {_STANDING} AS p
            WHERE p.service = timeline.service AND p.repository = timeline.repository
              AND p.environment = timeline.environment AND p.finished_at < $2
            ORDER BY p.finished_at DESC, p.id DESC LIMIT 1
        ) AS previous ON true
        JOIN change_link l ON l.service = timeline.service AND l.repository = timeline.repository AND l.exact
          AND l.position > coalesce(previous.position, -1) AND l.position <= timeline.highest
        """,  # noqa: S608  # constants
        services,
        window.start,
        window.end,
    )
    return _ids(rows)


async def _merged(tx: Connection, services: Sequence[str], window: Window) -> list[str]:
    rows = await tx.fetch(
        "SELECT change AS id FROM change_link WHERE service = ANY($1) AND merged_at >= $2 AND merged_at < $3",
        services,
        window.start,
        window.end,
    )
    return _ids(rows)


async def _reverts(tx: Connection, services: Sequence[str], window: Window) -> list[str]:
    """Reverts merged since the window began, and what they revert."""
    rows = await tx.fetch(
        r"""
        SELECT unnest(ARRAY[c.id, c.source || ':' || c.repository || ':'
                                  || substring(c.head_ref FROM 'revert-([0-9]+)-\w')]) AS id
        FROM change_link l JOIN change c ON c.id = l.change
        WHERE l.service = ANY($1) AND l.merged_at >= $2 AND c.head_ref ~ 'revert-[0-9]+-\w'
        """,
        services,
        window.start,
    )
    return _ids(rows)


async def _promotions(tx: Connection, services: Sequence[str], window: Window, branches: Sequence[Branch]) -> list[str]:
    """Merges of one branch that changes are merged into to another, since the window began."""
    rows = await tx.fetch(
        """
        SELECT c.id FROM change_link l JOIN change c ON c.id = l.change
        JOIN unnest($3::text[], $4::text[]) AS branch(repository, name)
          ON branch.repository = c.repository AND branch.name = c.head_ref
        WHERE l.service = ANY($1) AND l.merged_at >= $2
        """,
        services,
        window.start,
        [branch.repository for branch in branches],
        [branch.name for branch in branches],
    )
    return _ids(rows)


# ---- the rows ----------------------------------------------------------------------------------------------------


async def _attempts(tx: Connection, ids: Sequence[str], branches: Sequence[Branch]) -> dict[str, list[Attempt]]:
    """A ref is a branch where changes were merged into it."""
    rows = await tx.fetch(
        """
        SELECT d.service, d.id, d.repository, d.environment, f.outcome, d.finished_at, f.started_at,
               coalesce(b.name, '') AS branch, CASE WHEN d.exact THEN d.position END AS position,
               (SELECT coalesce(jsonb_agg(jsonb_build_array(p.repository, p.position)), '[]') FROM part p
                WHERE p.deployment = d.id AND p.exact) AS others
        FROM production_deployment d
        JOIN deployment f USING (id)
        LEFT JOIN unnest($2::text[], $3::text[]) AS b(repository, name)
          ON b.repository = d.repository AND b.name = regexp_replace(f.ref, '^refs/heads/', '')
        WHERE d.id = ANY($1)
        """,
        ids,
        [branch.repository for branch in branches],
        [branch.name for branch in branches],
    )
    attempts: dict[str, list[Attempt]] = defaultdict(list)
    for row in rows:
        fields = dict(row) | {"others": msgspec.json.decode(row["others"], type=list[tuple[str, int]])}
        attempts[fields.pop("service")].append(Attempt(**fields))
    return attempts


async def _unsuccessful(tx: Connection, window: Window) -> list[Ended]:
    """All that began or ended in the window, wherever: only the catalog knows what is production."""
    rows = await tx.fetch(
        """
        SELECT id, source, repository, service_name, environment, outcome, started_at, finished_at FROM deployment
        WHERE outcome <> 'succeeded' AND finished_at >= $1 AND coalesce(started_at, finished_at) < $2
        """,
        window.start,
        window.end,
    )
    return [Ended(**row) for row in rows]


def _in_production(ended: Iterable[Ended], services: Sequence[str], catalog: Catalog) -> dict[str, list[Attempt]]:
    """Reports by a platform that is not the authoritative one of its service do not count."""
    attempts: dict[str, list[Attempt]] = defaultdict(list)
    for each in ended:
        service = service_of(each, catalog)
        counts = catalog.authoritative(service) in ("", each.source)
        if service in services and counts and catalog.is_production(service, each.environment):
            attempts[service].append(
                Attempt(
                    id=each.id,
                    repository=each.repository,
                    environment=catalog.environment_of(service, each.environment),
                    outcome=each.outcome,
                    started_at=each.started_at,
                    finished_at=each.finished_at,
                )
            )
    return attempts


async def _changes(tx: Connection, ids: Sequence[str]) -> dict[str, list[Change]]:
    """Who reviews is another human, as in our own numbers: dora.md is silent on bots and authors there."""
    rows = await tx.fetch(
        """
        SELECT l.service, c.id, c.repository, c.number, c.head_ref, c.base_ref, l.merged_at,
               CASE WHEN l.exact THEN l.position END AS position, l.first_commit_at, c.opened_at,
               f.first_review_at,
               (SELECT min(r.occurred_at) FROM review r
                WHERE r.change = c.id AND r.state = 'approved' AND r.author NOT LIKE '%[bot]'
                  AND lower(r.author) IS DISTINCT FROM lower(nullif(c.author, ''))) AS approved_at
        FROM change_link l JOIN change c ON c.id = l.change
        LEFT JOIN change_flow f ON (f.change, f.service) = (l.change, l.service)
        WHERE l.change = ANY($1)
        """,
        ids,
    )
    changes: dict[str, list[Change]] = defaultdict(list)
    for row in rows:
        fields = dict(row)
        changes[fields.pop("service")].append(Change(**fields))
    return changes


async def _incidents(tx: Connection, services: Sequence[str], window: Window) -> dict[str, list[Incident]]:
    """Opened or resolved in the window, or after it while its last deployment was still the latest."""
    rows = await tx.fetch(
        """
        SELECT l.service, l.incident AS id, l.opened_at, l.resolved_at
        FROM unnest($1::text[]) AS of(service)
        CROSS JOIN LATERAL (
            SELECT min(d.finished_at) AS finished_at FROM production_deployment d
            WHERE d.service = of.service AND d.finished_at >= $3
        ) AS next
        JOIN incident_link l ON l.service = of.service AND l.opened_at IS NOT NULL
          AND (l.opened_at >= $2 AND l.opened_at < coalesce(next.finished_at, 'infinity')
               OR l.resolved_at >= $2 AND l.resolved_at < $3)
        """,
        services,
        window.start,
        window.end,
    )
    incidents: dict[str, list[Incident]] = defaultdict(list)
    for row in rows:
        fields = dict(row)
        incidents[fields.pop("service")].append(Incident(**fields))
    return incidents


def _ids(rows: Sequence[Record]) -> list[str]:
    return [row["id"] for row in rows]
