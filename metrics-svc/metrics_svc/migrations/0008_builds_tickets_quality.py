"""Builds, tickets and reports of quality; daily quality as a view."""

from alembic import op

revision = "0008"
down_revision = "0007"

# `origin` names the service (see metrics_svc/work.py); `version` decides which report of a thing is its newest.
BUILD = """
CREATE TABLE build (
    source text NOT NULL,
    repository text NOT NULL,
    build_id text NOT NULL,
    attempt integer NOT NULL,
    job text NOT NULL,
    name text NOT NULL,
    branch text NOT NULL,
    sha text NOT NULL,
    url text NOT NULL,
    origin text NOT NULL,
    begun_at timestamptz,
    started_at timestamptz,
    outcome text,
    finished_at timestamptz,
    finish_version text COLLATE "C",
    version text COLLATE "C" NOT NULL,
    delivery text NOT NULL,
    PRIMARY KEY (source, repository, build_id, attempt, job)
)
"""
# `status` and what follows from the rows of ticket_status: `state`, `started_at`, `closed_at`, `closed_reason`.
TICKET = """
CREATE TABLE ticket (
    id text PRIMARY KEY,
    source text NOT NULL,
    project text NOT NULL,
    key text NOT NULL,
    title text NOT NULL,
    ticket_type text NOT NULL,
    url text NOT NULL,
    origin text NOT NULL,
    created_at timestamptz,
    version text COLLATE "C" NOT NULL,
    delivery text NOT NULL,
    status text NOT NULL,
    state text NOT NULL,
    started_at timestamptz,
    closed_at timestamptz,
    closed_reason text NOT NULL
)
"""
# One row per report of a ticket: whether it was open, and since when it is closed, takes the order of all of them.
TICKET_STATUS = """
CREATE TABLE ticket_status (
    ticket text NOT NULL,
    version text COLLATE "C" NOT NULL,
    occurred_at timestamptz NOT NULL,
    state text NOT NULL,
    status text NOT NULL,
    started boolean NOT NULL,
    closes boolean NOT NULL,
    closed_at timestamptz,
    reason text NOT NULL,
    PRIMARY KEY (ticket, version)
)
"""
QUALITY = """
CREATE TABLE quality (
    id text PRIMARY KEY,
    source text NOT NULL,
    project text NOT NULL,
    repository text NOT NULL,
    branch text NOT NULL,
    sha text NOT NULL,
    number integer,
    coverage double precision,
    coverage_base double precision,
    gate text NOT NULL,
    conditions jsonb NOT NULL,
    url text NOT NULL,
    origin text NOT NULL,
    occurred_at timestamptz NOT NULL,
    delivery text NOT NULL
)
"""
# Every origin once: a question asks the catalog for each of them, and must not read all facts for that.
WORK_ORIGIN = "CREATE TABLE work_origin (kind text NOT NULL, origin text NOT NULL, PRIMARY KEY (kind, origin))"
INDEXES = (
    "CREATE INDEX build_finished ON build (origin, finished_at) WHERE job = '' AND outcome IN ('succeeded', 'failed')",
    "CREATE INDEX ticket_closed ON ticket (origin, closed_at) WHERE closed_at IS NOT NULL",
    "CREATE INDEX quality_occurred ON quality (origin, occurred_at)",
    "CREATE INDEX deployment_failed ON deployment (origin, finished_at) WHERE outcome = 'failed'",
)
V_QUALITY = """
CREATE VIEW v_quality AS
SELECT (q.occurred_at AT TIME ZONE 'UTC')::date AS day, r.service, q.source, q.project, q.repository, q.branch,
       (array_agg(q.coverage ORDER BY q.occurred_at DESC, q.id DESC) FILTER (WHERE q.coverage IS NOT NULL))[1]
           AS coverage,
       (array_agg(q.gate ORDER BY q.occurred_at DESC, q.id DESC) FILTER (WHERE q.gate <> ''))[1] AS gate,
       count(*) AS reports
FROM quality q LEFT JOIN repository r ON r.name = q.repository
WHERE q.branch <> ''
GROUP BY 1, 2, 3, 4, 5, 6
"""
COMMENTS = {
    "VIEW v_quality": "What checks of code said last on each day of each branch; a day without a report has no row.",
    "COLUMN v_quality.day": "The day in UTC.",
    "COLUMN v_quality.service": "The service of the repository; null for a tool that names none of ours.",
    "COLUMN v_quality.source": "The tool that reported.",
    "COLUMN v_quality.project": "What the tool calls the project.",
    "COLUMN v_quality.repository": "owner/name; empty where the tool tells only its own project.",
    "COLUMN v_quality.branch": "The branch that was checked; reports that name a change alone are left out.",
    "COLUMN v_quality.coverage": "Coverage in percent, the last of the day that was told.",
    "COLUMN v_quality.gate": "passed, warning, failed or none, the last of the day; null for a tool without gates.",
    "COLUMN v_quality.reports": "Reports of the day.",
}


def upgrade() -> None:
    for statement in (BUILD, TICKET, TICKET_STATUS, QUALITY, WORK_ORIGIN, *INDEXES, V_QUALITY):
        op.execute(statement)
    for what, comment in COMMENTS.items():
        op.execute(f"COMMENT ON {what} IS '{comment}'")
