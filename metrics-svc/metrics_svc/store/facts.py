"""Writing facts: one statement per table and batch, keys sorted, any order and repetition ends in the same rows."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from metrics_svc.facts import Row
from shared.db import Connection


class StoredDeployment(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment as it stands after the batch; held by this transaction."""

    id: str
    repository: str
    environment: str
    outcome: str | None


class StoredIncident(msgspec.Struct, frozen=True, kw_only=True):
    """An incident as it stands after the batch; held by this transaction."""

    id: str
    source: str
    service_id: str
    service_name: str


async def record_changes(tx: Connection, rows: Sequence[Row]) -> None:
    """The newest report wins as a whole; a change is opened, made ready and merged when it first was."""
    await tx.execute(
        """
        INSERT INTO change
        SELECT DISTINCT ON (id)
            id, source, repository, number, title, author, author_kind, state, draft, base_ref, head_ref, head_sha,
            max(merge_sha) OVER same, min(opened_at) OVER same, min(ready_at) OVER same, min(merged_at) OVER same,
            closed_at, additions, deletions, changed_files, labels, url, version, delivery
        FROM json_populate_recordset(NULL::change, $1::json)
        WINDOW same AS (PARTITION BY id)
        ORDER BY id, version DESC
        ON CONFLICT (id) DO UPDATE SET
            (title, author, author_kind, state, draft, base_ref, head_ref, head_sha, closed_at, additions, deletions,
             changed_files, labels, url, version, delivery)
            = (SELECT title, author, author_kind, state, draft, base_ref, head_ref, head_sha, closed_at, additions,
                      deletions, changed_files, labels, url, version, delivery
               FROM (SELECT excluded.* UNION ALL SELECT change.*) AS report ORDER BY version DESC LIMIT 1),
            merge_sha = greatest(change.merge_sha, excluded.merge_sha),
            opened_at = least(change.opened_at, excluded.opened_at),
            ready_at = least(change.ready_at, excluded.ready_at),
            merged_at = least(change.merged_at, excluded.merged_at)
        """,
        _json(rows),
    )


async def record_commits(tx: Connection, rows: Sequence[Row]) -> None:
    await tx.execute(
        """
        INSERT INTO commit
        SELECT repository, sha, branch, position, bool_or(on_default), min(authored_at), max(author), max(source),
               max(delivery)
        FROM json_populate_recordset(NULL::commit, $1::json)
        GROUP BY repository, sha, branch, position
        ORDER BY repository, sha, branch, position
        ON CONFLICT (repository, sha, branch, position) DO UPDATE SET
            on_default = commit.on_default OR excluded.on_default,
            authored_at = least(commit.authored_at, excluded.authored_at),
            author = greatest(commit.author, excluded.author),
            source = greatest(commit.source, excluded.source),
            delivery = greatest(commit.delivery, excluded.delivery)
        """,
        _json(rows),
    )


async def record_deployments(tx: Connection, rows: Sequence[Row]) -> list[StoredDeployment]:
    """The newest end counts: a deployment tried again in place ends when its last try does."""
    stored = await tx.fetch(
        """
        INSERT INTO deployment
        SELECT DISTINCT ON (id)
            id, source, repository, deployment_id, environment, sha, ref, creator, url,
            min(requested_at) OVER same, min(started_at) OVER same,
            first_value(outcome) OVER ends, first_value(finished_at) OVER ends, first_value(finish_version) OVER ends,
            version, delivery
        FROM json_populate_recordset(NULL::deployment, $1::json)
        WINDOW same AS (PARTITION BY id), ends AS (PARTITION BY id ORDER BY finish_version DESC NULLS LAST)
        ORDER BY id, version DESC
        ON CONFLICT (id) DO UPDATE SET
            (environment, sha, ref, creator, url, version, delivery)
            = (SELECT environment, sha, ref, creator, url, version, delivery
               FROM (SELECT excluded.* UNION ALL SELECT deployment.*) AS report ORDER BY version DESC LIMIT 1),
            (outcome, finished_at, finish_version)
            = (SELECT outcome, finished_at, finish_version
               FROM (SELECT excluded.* UNION ALL SELECT deployment.*) AS report
               ORDER BY finish_version DESC NULLS LAST LIMIT 1),
            requested_at = least(deployment.requested_at, excluded.requested_at),
            started_at = least(deployment.started_at, excluded.started_at)
        RETURNING id, repository, environment, outcome
        """,
        _json(rows),
    )
    return [StoredDeployment(**row) for row in stored]


async def record_incidents(tx: Connection, rows: Sequence[Row]) -> list[StoredIncident]:
    stored = await tx.fetch(
        """
        INSERT INTO incident
        SELECT DISTINCT ON (id)
            id, source, incident_id, number, title, status, urgency, service_id, service_name, url,
            min(opened_at) OVER same, version, delivery
        FROM json_populate_recordset(NULL::incident, $1::json)
        WINDOW same AS (PARTITION BY id)
        ORDER BY id, version DESC
        ON CONFLICT (id) DO UPDATE SET
            (number, title, status, urgency, service_id, service_name, url, version, delivery)
            = (SELECT number, title, status, urgency, service_id, service_name, url, version, delivery
               FROM (SELECT excluded.* UNION ALL SELECT incident.*) AS report ORDER BY version DESC LIMIT 1),
            opened_at = least(incident.opened_at, excluded.opened_at)
        RETURNING id, source, service_id, service_name
        """,
        _json(rows),
    )
    return [StoredIncident(**row) for row in stored]


async def record_transitions(tx: Connection, rows: Sequence[Row]) -> None:
    await tx.execute(
        """
        INSERT INTO incident_transition
        SELECT incident, occurred_at, kind, max(reason), max(delivery)
        FROM json_populate_recordset(NULL::incident_transition, $1::json)
        GROUP BY incident, occurred_at, kind
        ORDER BY incident, occurred_at, kind
        ON CONFLICT (incident, occurred_at, kind) DO UPDATE SET
            reason = greatest(incident_transition.reason, excluded.reason),
            delivery = greatest(incident_transition.delivery, excluded.delivery)
        """,
        _json(rows),
    )


async def record_command(
    tx: Connection, *, command_id: str, name: str, received_at: datetime | None, held_because: str
) -> None:
    await tx.execute(
        """
        INSERT INTO command (id, name, received_at, held_because) VALUES ($1, $2, $3, $4)
        ON CONFLICT (id) DO NOTHING
        """,
        command_id,
        name,
        received_at,
        held_because,
    )


def _json(rows: Sequence[Row]) -> str:
    """PostgreSQL's texts can't hold a NUL."""
    cleaned = [{name: _without_nul(value) for name, value in row.items()} for row in rows]
    return msgspec.json.encode(cleaned).decode()


def _without_nul(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(_without_nul(part) for part in value)
    return value.replace("\x00", "") if isinstance(value, str) else value
