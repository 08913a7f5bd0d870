"""Writing facts: one statement per table and batch, keys sorted, any order and repetition ends in the same rows."""

from collections.abc import Mapping, Sequence

import msgspec

from approvals_svc.facts import Row
from shared.db import Connection

_CHANGE = """
INSERT INTO change SELECT DISTINCT ON (source, repository, number) * FROM json_populate_recordset(NULL::change, $1)
ORDER BY source, repository, number, version DESC
ON CONFLICT (source, repository, number) DO UPDATE SET
    (title, author, author_kind, state, head_ref, head_sha, merge_sha, additions, deletions, labels, url, told_at,
     version, known_at)
    = (excluded.title, excluded.author, excluded.author_kind, excluded.state, excluded.head_ref, excluded.head_sha,
       excluded.merge_sha, excluded.additions, excluded.deletions, excluded.labels, excluded.url, excluded.told_at,
       excluded.version, excluded.known_at)
WHERE excluded.version > change.version
"""
_BRANCH_COMMIT = """
INSERT INTO branch_commit
SELECT DISTINCT ON (source, repository, branch, sha) * FROM json_populate_recordset(NULL::branch_commit, $1)
ORDER BY source, repository, branch, sha, position
ON CONFLICT (source, repository, branch, sha) DO UPDATE SET
    (position, on_default, title, author, trailers, files, known_at, push_before, push_after)
    = (excluded.position, excluded.on_default, excluded.title, excluded.author, excluded.trailers, excluded.files,
       excluded.known_at, excluded.push_before, excluded.push_after)
WHERE excluded.position < branch_commit.position
"""
_DEPLOYMENT = """
INSERT INTO deployment
SELECT DISTINCT ON (source, repository, deployment_id) * FROM json_populate_recordset(NULL::deployment, $1)
ORDER BY source, repository, deployment_id, version DESC
ON CONFLICT (source, repository, deployment_id) DO UPDATE SET
    (environment, sha, ref, rollback, url, outcome, finished_at, version, known_at)
    = (excluded.environment, excluded.sha, excluded.ref, excluded.rollback, excluded.url, excluded.outcome,
       excluded.finished_at, excluded.version, excluded.known_at)
WHERE excluded.version > deployment.version
"""
_INCIDENT = """
INSERT INTO incident
SELECT DISTINCT ON (source, incident_id, rule)
    source, incident_id, rule, title, urgency, service_id, service_name, max(caused_by) OVER same, url,
    min(opened_at) OVER same, version, first_value(turned) OVER turns, first_value(is_open) OVER turns,
    min(known_at) OVER same
FROM json_populate_recordset(NULL::incident, $1)
WINDOW same AS (PARTITION BY source, incident_id, rule),
       turns AS (PARTITION BY source, incident_id, rule ORDER BY turned DESC)
ORDER BY source, incident_id, rule, version DESC
ON CONFLICT (source, incident_id, rule) DO UPDATE SET
    (title, urgency, service_id, service_name, url, version)
    = (SELECT title, urgency, service_id, service_name, url, version
       FROM (SELECT excluded.* UNION ALL SELECT incident.*) AS report ORDER BY version DESC LIMIT 1),
    (turned, is_open) = (SELECT turned, is_open FROM (SELECT excluded.* UNION ALL SELECT incident.*) AS report
                         ORDER BY turned DESC LIMIT 1),
    caused_by = greatest(incident.caused_by, excluded.caused_by),
    opened_at = least(incident.opened_at, excluded.opened_at),
    known_at = least(incident.known_at, excluded.known_at)
"""
_RECOVERY = """
INSERT INTO recovery
SELECT source, incident_id, rule, at, min(known_at) FROM json_populate_recordset(NULL::recovery, $1)
GROUP BY source, incident_id, rule, at ORDER BY source, incident_id, rule, at
ON CONFLICT (source, incident_id, rule, at) DO UPDATE SET known_at = excluded.known_at
WHERE excluded.known_at < recovery.known_at
"""
_QUALITY = """
INSERT INTO quality
SELECT DISTINCT ON (source, project, branch, sha) * FROM json_populate_recordset(NULL::quality, $1)
ORDER BY source, project, branch, sha, version DESC
ON CONFLICT (source, project, branch, sha) DO UPDATE SET
    (repository, coverage, coverage_base, gate, url, told_at, version, known_at)
    = (excluded.repository, excluded.coverage, excluded.coverage_base, excluded.gate, excluded.url, excluded.told_at,
       excluded.version, excluded.known_at)
WHERE excluded.version > quality.version
"""
_TICKET = """
INSERT INTO ticket SELECT DISTINCT ON (source, ticket_id) * FROM json_populate_recordset(NULL::ticket, $1)
ORDER BY source, ticket_id, version DESC
ON CONFLICT (source, ticket_id) DO UPDATE SET
    (key, title, state, url, version, known_at)
    = (excluded.key, excluded.title, excluded.state, excluded.url, excluded.version, excluded.known_at)
WHERE excluded.version > ticket.version
"""
_SERVICE_DAY = """
INSERT INTO service_day
SELECT DISTINCT ON (service, environment, day) * FROM json_populate_recordset(NULL::service_day, $1)
ORDER BY service, environment, day, revision DESC
ON CONFLICT (service, environment, day) DO UPDATE SET
    (revision, deployments, failed) = (excluded.revision, excluded.deployments, excluded.failed)
WHERE excluded.revision > service_day.revision
"""
# In this order, so that two batches never wait for each other.
_STATEMENTS = {
    "change": _CHANGE,
    "branch_commit": _BRANCH_COMMIT,
    "deployment": _DEPLOYMENT,
    "incident": _INCIDENT,
    "recovery": _RECOVERY,
    "quality": _QUALITY,
    "ticket": _TICKET,
    "service_day": _SERVICE_DAY,
}


async def record(tx: Connection, rows: Mapping[str, Sequence[Row]]) -> None:
    for table, statement in _STATEMENTS.items():
        if found := rows.get(table):
            await tx.execute(statement, msgspec.json.encode(found).decode())


async def forget(tx: Connection, *, older_than_s: float) -> None:
    """What has not been told of for so long; days of services with the day that they are."""
    before = await tx.fetchval("SELECT clock_timestamp() - make_interval(secs => $1)", older_than_s)
    for statement in _FORGET:
        await tx.execute(statement, before)


_FORGET = (
    "DELETE FROM change WHERE known_at < $1",
    "DELETE FROM branch_commit WHERE known_at < $1",
    "DELETE FROM deployment WHERE known_at < $1",
    "DELETE FROM incident WHERE known_at < $1",
    "DELETE FROM recovery WHERE known_at < $1",
    "DELETE FROM quality WHERE known_at < $1",
    "DELETE FROM ticket WHERE known_at < $1",
    "DELETE FROM service_day WHERE day < $1::timestamptz::date",
)
