"""What evidence asks of the facts, one function per question."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, TypeAlias

import msgspec

from shared.db import Connection

Row: TypeAlias = dict[str, Any]

COMMITS_MAX = 500
CHANGES_MAX = 200
INCIDENTS_MAX = 500
TICKETS_MAX = 50


class Place(msgspec.Struct, frozen=True):
    """Where a commit stands on a branch."""

    branch: str
    position: int


async def place_of(tx: Connection, *, source: str, repository: str, sha: str) -> Place | None:
    """On the default branch if it is there, else where it was pushed first."""
    row = await tx.fetchrow(
        """
        SELECT branch, position FROM branch_commit WHERE source = $1 AND repository = $2 AND sha = $3
        ORDER BY on_default DESC, position, branch LIMIT 1
        """,
        *(source, repository, sha),
    )
    return Place(**row) if row else None


async def running_sha(tx: Connection, *, source: str, repository: str, environment: str) -> str:
    """What succeeded there last, else what was let through there last."""
    found = await tx.fetchval(
        """
        SELECT coalesce(
            (SELECT sha FROM deployment
             WHERE source = $1 AND repository = $2 AND environment = $3 AND outcome = 'succeeded' AND sha <> ''
             ORDER BY finished_at DESC, deployment_id DESC LIMIT 1),
            (SELECT sha FROM approval WHERE repository = $2 AND environment = $3 AND status = 'executed'
             ORDER BY id DESC LIMIT 1)
        )
        """,
        *(source, repository, environment),
    )
    return str(found or "")


async def commit_of(tx: Connection, place: Place, *, source: str, repository: str, sha: str) -> Row | None:
    """Another commit on the same branch."""
    row = await tx.fetchrow(
        """
        SELECT sha, position, title, author, trailers, files, push_before, push_after FROM branch_commit
        WHERE source = $1 AND repository = $2 AND branch = $3 AND sha = $4
        """,
        *(source, repository, place.branch, sha),
    )
    return dict(row) if row else None


async def commits_between(tx: Connection, place: Place, *, source: str, repository: str, after: int) -> list[Row]:
    """Later than `after` up to and with the place, the newest first; one more than COMMITS_MAX where there are more."""
    rows = await tx.fetch(
        """
        SELECT sha, position, title, author, trailers, files, push_before, push_after FROM branch_commit
        WHERE source = $1 AND repository = $2 AND branch = $3 AND position > $4 AND position <= $5
        ORDER BY position DESC LIMIT $6
        """,
        *(source, repository, place.branch, after, place.position, COMMITS_MAX + 1),
    )
    return [dict(row) for row in rows]


async def commits_named(tx: Connection, *, source: str, repository: str, shas: Sequence[str]) -> list[Row]:
    rows = await tx.fetch(
        """
        SELECT DISTINCT ON (sha) sha, position, title, author, trailers, files, push_before, push_after
        FROM branch_commit
        WHERE source = $1 AND repository = $2 AND sha = ANY($3::text[]) ORDER BY sha, on_default DESC, position
        """,
        *(source, repository, list(shas)[:COMMITS_MAX]),
    )
    return [dict(row) for row in rows]


async def changes_of(
    tx: Connection, *, source: str, repository: str, shas: Sequence[str], numbers: Sequence[int]
) -> list[Row]:
    """Those that these commits brought, and those of these numbers."""
    rows = await tx.fetch(
        """
        SELECT number, title, author, author_kind, head_ref, head_sha, merge_sha, additions, deletions, labels, url
        FROM change WHERE source = $1 AND repository = $2
            AND (merge_sha = ANY($3::text[]) OR head_sha = ANY($3::text[]) OR number = ANY($4::int[]))
        ORDER BY number LIMIT $5
        """,
        *(source, repository, list(shas), list(numbers), CHANGES_MAX),
    )
    return [dict(row) for row in rows]


async def tickets_of(tx: Connection, keys: Sequence[str]) -> list[Row]:
    rows = await tx.fetch(
        """
        SELECT DISTINCT ON (key) key, title, state, url FROM ticket WHERE key = ANY($1::text[])
        ORDER BY key, version DESC LIMIT $2
        """,
        *(list(keys), TICKETS_MAX),
    )
    return [dict(row) for row in rows]


async def days_of(tx: Connection, *, service: str, environment: str, since: date) -> tuple[int, int]:
    """Deployments, and those of them that failed, as metrics-svc counts them."""
    row = await tx.fetchrow(
        """
        SELECT coalesce(sum(deployments), 0)::int AS deployments, coalesce(sum(failed), 0)::int AS failed
        FROM service_day WHERE service = $1 AND environment = $2 AND day >= $3
        """,
        *(service, environment, since),
    )
    return (row["deployments"], row["failed"]) if row else (0, 0)


async def open_incidents(tx: Connection, *, since: datetime) -> list[Row]:
    """Of all services, alerts last: which is whose, and which alert counts, is asked of the catalog."""
    rows = await tx.fetch(
        """
        SELECT source, incident_id, rule, title, urgency, service_id, service_name, url, opened_at FROM incident
        WHERE is_open AND opened_at >= $1 ORDER BY rule <> '', opened_at DESC, incident_id LIMIT $2
        """,
        *(since, INCIDENTS_MAX),
    )
    return [dict(row) for row in rows]


async def checks_of(tx: Connection, *, repository: str, sha: str, branch: str) -> list[Row]:
    """Reports of the very commit before those of its branch, the newest first; one per tool and project."""
    rows = await tx.fetch(
        """
        SELECT DISTINCT ON (source, project) source, project, coverage, coverage_base, gate, url, told_at,
            sha = $2 AS is_of_commit
        FROM (
            SELECT * FROM quality WHERE sha = $2 AND $2 <> ''
            UNION ALL
            (SELECT * FROM quality WHERE repository = $1 AND branch = $3 AND $3 <> '' ORDER BY told_at DESC LIMIT 20)
        ) AS report
        ORDER BY source, project, sha = $2 DESC, told_at DESC, version DESC
        """,
        *(repository, sha, branch),
    )
    return [dict(row) for row in rows]
