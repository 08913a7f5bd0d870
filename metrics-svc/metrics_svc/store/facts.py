"""Writing facts: one statement per table and batch, keys sorted, any order and repetition ends in the same rows."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from metrics_svc.facts import Row
from metrics_svc.store.rows import as_json
from shared.db import Connection


class StoredDeployment(msgspec.Struct, frozen=True, kw_only=True):
    """A deployment as it stands after the batch."""

    id: str
    source: str
    repository: str
    service_name: str
    environment: str
    sha: str
    outcome: str | None
    finished_at: datetime | None


class StoredIncident(msgspec.Struct, frozen=True, kw_only=True):
    """An incident as it stands after the batch; held by this transaction."""

    id: str
    source: str
    service_id: str
    service_name: str
    rule: str | None


async def expect_few(tx: Connection) -> None:
    """For the rest of the transaction plans are made once, if the tables are known to hold enough to plan by.

    What a small batch tells of is few rows: planning each statement for them anew takes longer than running it. What
    was planned for empty tables would be kept while they grow.
    """
    await tx.execute(
        """
        SELECT set_config('plan_cache_mode', 'force_generic_plan', true) FROM pg_class
        WHERE oid = ANY('{change,commit,deployment,change_link,production_deployment}'::regclass[])
        HAVING min(reltuples) >= 1000
        """
    )


async def record_changes(tx: Connection, rows: Sequence[Row]) -> None:
    """The newest report wins as a whole; a change is opened, made ready and merged when it first was."""
    await tx.execute(
        """
        INSERT INTO change
        SELECT DISTINCT ON (id)
            id, source, repository, number, title, max(author) OVER same, author_kind, state, draft, base_ref, head_ref,
            head_sha, max(merge_sha) OVER same, min(opened_at) OVER same, min(ready_at) OVER same,
            min(merged_at) OVER same, closed_at, additions, deletions, changed_files, labels, url, version, delivery,
            reverts_number, reverts_title
        FROM json_populate_recordset(NULL::change, $1::json)
        WINDOW same AS (PARTITION BY id)
        ORDER BY id, version DESC
        ON CONFLICT (id) DO UPDATE SET
            (title, author_kind, state, draft, base_ref, head_ref, head_sha, closed_at, additions, deletions,
             changed_files, labels, url, version, delivery, reverts_number, reverts_title)
            = (SELECT title, author_kind, state, draft, base_ref, head_ref, head_sha, closed_at, additions,
                      deletions, changed_files, labels, url, version, delivery, reverts_number, reverts_title
               FROM (SELECT excluded.* UNION ALL SELECT change.*) AS report ORDER BY version DESC LIMIT 1),
            author = greatest(change.author, excluded.author),  -- not every report names one
            merge_sha = greatest(change.merge_sha, excluded.merge_sha),
            opened_at = least(change.opened_at, excluded.opened_at),
            ready_at = least(change.ready_at, excluded.ready_at),
            merged_at = least(change.merged_at, excluded.merged_at)
        """,
        as_json(rows),
    )


async def record_commits(tx: Connection, rows: Sequence[Row]) -> None:
    await tx.execute(
        """
        INSERT INTO commit
        SELECT repository, sha, branch, position, bool_or(on_default), min(authored_at), max(author), max(source),
               max(delivery), bool_or(skewed), max(trailers), bool_or(merge), max(files)
        FROM json_populate_recordset(NULL::commit, $1::json)
        GROUP BY repository, sha, branch, position
        ORDER BY repository, sha, branch, position
        ON CONFLICT (repository, sha, branch, position) DO UPDATE SET
            on_default = commit.on_default OR excluded.on_default,
            authored_at = least(commit.authored_at, excluded.authored_at),
            author = greatest(commit.author, excluded.author),
            source = greatest(commit.source, excluded.source),
            delivery = greatest(commit.delivery, excluded.delivery),
            skewed = commit.skewed OR excluded.skewed,
            trailers = greatest(commit.trailers, excluded.trailers),  -- not every list holds messages
            merge = commit.merge OR excluded.merge,
            files = greatest(commit.files, excluded.files)
        """,
        as_json(rows),
    )


async def record_reviews(tx: Connection, rows: Sequence[Row]) -> None:
    await tx.execute(
        """
        INSERT INTO review
        SELECT change, id, author, author_kind, state, first_at, source, delivery, version,
               ARRAY(SELECT DISTINCT day FROM unnest(days) AS day ORDER BY day)
        FROM (
            SELECT DISTINCT ON (change, id)
                change, id, author, author_kind, state, min(occurred_at) OVER same AS first_at, source, delivery,
                version, array_agg((occurred_at AT TIME ZONE 'UTC')::date) OVER same AS days
            FROM (SELECT change, id, author, author_kind, state, occurred_at, source, delivery, version
                  FROM json_populate_recordset(NULL::review, $1::json)) AS told
            WINDOW same AS (PARTITION BY change, id)
            ORDER BY change, id, version DESC
        ) AS told
        ON CONFLICT (change, id) DO UPDATE SET
            (author, author_kind, state, source, delivery, version)
            = (SELECT author, author_kind, state, source, delivery, version
               FROM (SELECT excluded.* UNION ALL SELECT review.*) AS report ORDER BY version DESC LIMIT 1),
            occurred_at = least(review.occurred_at, excluded.occurred_at),
            days = ARRAY(SELECT DISTINCT day FROM unnest(review.days || excluded.days) AS day ORDER BY day)
        """,
        as_json(rows),
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
            version, delivery, service_name, origin, commit_sha, mapped, bool_or(rollback) OVER same, config_only,
            revisions
        FROM json_populate_recordset(NULL::deployment, $1::json)
        WINDOW same AS (PARTITION BY id), ends AS (PARTITION BY id ORDER BY finish_version DESC NULLS LAST)
        ORDER BY id, version DESC
        ON CONFLICT (id) DO UPDATE SET
            (environment, sha, ref, creator, url, version, delivery, service_name, origin, commit_sha, mapped,
             config_only, revisions)
            = (SELECT environment, sha, ref, creator, url, version, delivery, service_name, origin, commit_sha, mapped,
                      config_only, revisions
               FROM (SELECT excluded.* UNION ALL SELECT deployment.*) AS report ORDER BY version DESC LIMIT 1),
            (outcome, finished_at, finish_version)
            = (SELECT outcome, finished_at, finish_version
               FROM (SELECT excluded.* UNION ALL SELECT deployment.*) AS report
               ORDER BY finish_version DESC NULLS LAST LIMIT 1),
            requested_at = least(deployment.requested_at, excluded.requested_at),
            started_at = least(deployment.started_at, excluded.started_at),
            rollback = deployment.rollback OR excluded.rollback
        RETURNING id, source, repository, service_name, environment, commit_sha AS sha, outcome, finished_at
        """,
        as_json(rows),
    )
    return [StoredDeployment(**row) for row in stored]


async def reports_of_the_same(tx: Connection, deployments: Sequence[StoredDeployment]) -> list[StoredDeployment]:
    """These, and all that succeeded with their commit, or with the one they stood with so far."""
    rows = await tx.fetch(
        """
        SELECT same.* FROM (
            SELECT unnest($2::text[]) AS sha UNION SELECT sha FROM production_deployment WHERE id = ANY($1)
            UNION SELECT sha FROM set_aside WHERE id = ANY($1)
        ) AS wanted CROSS JOIN LATERAL (
            SELECT id, source, repository, service_name, environment, commit_sha AS sha, outcome, finished_at
            FROM deployment
            WHERE commit_sha = wanted.sha AND commit_sha <> '' AND outcome = 'succeeded' OFFSET 0
        ) AS same
        """,
        [deployment.id for deployment in deployments],
        [deployment.sha for deployment in deployments],
    )
    found = {deployment.id: deployment for deployment in deployments}
    return list((found | {row["id"]: StoredDeployment(**row) for row in rows}).values())


async def record_incidents(tx: Connection, rows: Sequence[Row]) -> list[StoredIncident]:
    stored = await tx.fetch(
        """
        INSERT INTO incident
        SELECT DISTINCT ON (id)
            id, source, incident_id, number, title, status, urgency, service_id, service_name, url,
            min(opened_at) OVER same, version, delivery, rule
        FROM json_populate_recordset(NULL::incident, $1::json)
        WINDOW same AS (PARTITION BY id)
        ORDER BY id, version DESC
        ON CONFLICT (id) DO UPDATE SET
            (number, title, status, urgency, service_id, service_name, url, version, delivery, rule)
            = (SELECT number, title, status, urgency, service_id, service_name, url, version, delivery, rule
               FROM (SELECT excluded.* UNION ALL SELECT incident.*) AS report ORDER BY version DESC LIMIT 1),
            opened_at = least(incident.opened_at, excluded.opened_at)
        RETURNING id, source, service_id, service_name, rule
        """,
        as_json(rows),
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
        as_json(rows),
    )


async def record_carried(tx: Connection, rows: Sequence[Row]) -> None:
    await tx.execute(
        """
        INSERT INTO carried SELECT DISTINCT repository, item, deployment
        FROM json_populate_recordset(NULL::carried, $1::json) ORDER BY 1, 2, 3
        ON CONFLICT DO NOTHING
        """,
        as_json(rows),
    )


async def record_causes(tx: Connection, rows: Sequence[Row]) -> None:
    await tx.execute(
        """
        INSERT INTO incident_cause SELECT DISTINCT incident, item, method
        FROM json_populate_recordset(NULL::incident_cause, $1::json) ORDER BY 1, 2, 3
        ON CONFLICT DO NOTHING
        """,
        as_json(rows),
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
