"""Writing builds, tickets and reports of quality: any order and repetition ends in the same rows.

All transactions write these tables in one order, and each with sorted keys: none waits for another in a circle.
"""

from collections.abc import Sequence

from metrics_svc import work
from metrics_svc.facts import Fact, Row
from metrics_svc.store.rows import as_json
from shared.db import Connection


async def record(tx: Connection, events: Sequence[Fact]) -> None:
    builds, tickets, reports = work.builds(events), work.tickets(events), work.reports(events)
    if builds:
        await _record_builds(tx, builds)
    if tickets:
        await _record_tickets(tx, tickets)
        await _record_statuses(tx, work.statuses(events))
        await _tell_ends(tx, sorted({str(row["id"]) for row in tickets}))
    if reports:
        await _record_reports(tx, reports)
    kinds = ((work.BUILD, builds), (work.TICKET, tickets), (work.QUALITY, reports))
    if origins := [{"kind": kind, "origin": row["origin"]} for kind, rows in kinds for row in rows]:
        await _record_origins(tx, origins)


async def _record_builds(tx: Connection, rows: Sequence[Row]) -> None:
    """The newest report wins as a whole; of ends, the newest one that says how it ended."""
    await tx.execute(
        """
        INSERT INTO build
        SELECT DISTINCT ON (source, repository, build_id, attempt, job)
            source, repository, build_id, attempt, job, name, branch, sha, url, origin,
            min(begun_at) OVER same, min(started_at) OVER same,
            first_value(outcome) OVER ends, first_value(finished_at) OVER ends, first_value(finish_version) OVER ends,
            version, delivery
        FROM json_populate_recordset(NULL::build, $1::json)
        WINDOW same AS (PARTITION BY source, repository, build_id, attempt, job),
               ends AS (PARTITION BY source, repository, build_id, attempt, job ORDER BY finish_version DESC NULLS LAST)
        ORDER BY source, repository, build_id, attempt, job, version DESC
        ON CONFLICT (source, repository, build_id, attempt, job) DO UPDATE SET
            (name, branch, sha, url, origin, version, delivery)
            = (SELECT name, branch, sha, url, origin, version, delivery
               FROM (SELECT excluded.* UNION ALL SELECT build.*) AS report ORDER BY version DESC LIMIT 1),
            (outcome, finished_at, finish_version)
            = (SELECT outcome, finished_at, finish_version
               FROM (SELECT excluded.* UNION ALL SELECT build.*) AS report
               ORDER BY finish_version DESC NULLS LAST LIMIT 1),
            begun_at = least(build.begun_at, excluded.begun_at),
            started_at = least(build.started_at, excluded.started_at)
        """,
        as_json(rows),
    )


async def _record_tickets(tx: Connection, rows: Sequence[Row]) -> None:
    """The newest report wins as a whole. The rows are held: who tells of the same ticket meanwhile comes after us."""
    await tx.execute(
        """
        INSERT INTO ticket
        SELECT DISTINCT ON (id)
            id, source, project, key, title, ticket_type, url, origin, min(created_at) OVER same, version, delivery,
            status, state, started_at, closed_at, closed_reason
        FROM json_populate_recordset(NULL::ticket, $1::json)
        WINDOW same AS (PARTITION BY id)
        ORDER BY id, version DESC
        ON CONFLICT (id) DO UPDATE SET
            (project, key, title, ticket_type, url, origin, version, delivery)
            = (SELECT project, key, title, ticket_type, url, origin, version, delivery
               FROM (SELECT excluded.* UNION ALL SELECT ticket.*) AS report ORDER BY version DESC LIMIT 1),
            created_at = least(ticket.created_at, excluded.created_at)
        """,
        as_json(rows),
    )


async def _record_statuses(tx: Connection, rows: Sequence[Row]) -> None:
    await tx.execute(
        """
        INSERT INTO ticket_status SELECT * FROM json_populate_recordset(NULL::ticket_status, $1::json)
        ORDER BY ticket, version
        ON CONFLICT (ticket, version) DO NOTHING
        """,
        as_json(rows),
    )


async def _tell_ends(tx: Connection, ids: Sequence[str]) -> None:
    """Started: the first time. Closed: the first time since it was last open; a time told of before that is stale."""
    await tx.execute(
        """
        UPDATE ticket t SET
            status = coalesce(newest.status, ''), state = coalesce(newest.state, ''), started_at = newest.started_at,
            closed_at = ending.closed_at, closed_reason = coalesce(ending.reason, '')
        FROM unnest($1::text[]) AS of(id)
        CROSS JOIN LATERAL (
            SELECT (array_agg(s.status ORDER BY s.version DESC) FILTER (WHERE s.status <> ''))[1] AS status,
                   (array_agg(s.state ORDER BY s.version DESC) FILTER (WHERE s.state <> ''))[1] AS state,
                   min(s.occurred_at) FILTER (WHERE s.started) AS started_at,
                   coalesce(max(s.version) FILTER (WHERE s.state = 'open'), '') AS open_version,
                   coalesce(max(s.occurred_at) FILTER (WHERE s.state = 'open'), '-infinity') AS open_at
            FROM ticket_status s WHERE s.ticket = of.id
        ) AS newest
        CROSS JOIN LATERAL (
            SELECT min(CASE WHEN s.closed_at > newest.open_at THEN s.closed_at WHEN s.closes THEN s.occurred_at END)
                       AS closed_at,
                   (array_agg(s.reason ORDER BY s.version DESC) FILTER (WHERE s.reason <> ''))[1] AS reason
            FROM ticket_status s
            WHERE s.ticket = of.id AND s.state = 'closed' AND s.version > newest.open_version
        ) AS ending
        WHERE t.id = of.id
        """,
        ids,
    )


async def _record_reports(tx: Connection, rows: Sequence[Row]) -> None:
    await tx.execute(
        """
        INSERT INTO quality SELECT * FROM json_populate_recordset(NULL::quality, $1::json) ORDER BY id
        ON CONFLICT (id) DO NOTHING
        """,
        as_json(rows),
    )


async def _record_origins(tx: Connection, rows: Sequence[Row]) -> None:
    await tx.execute(
        """
        INSERT INTO work_origin
        SELECT DISTINCT kind, origin FROM json_populate_recordset(NULL::work_origin, $1::json) AS told
        WHERE NOT EXISTS (SELECT FROM work_origin w WHERE w.kind = told.kind AND w.origin = told.origin)
        ORDER BY kind, origin
        ON CONFLICT (kind, origin) DO NOTHING
        """,
        as_json(rows),
    )
