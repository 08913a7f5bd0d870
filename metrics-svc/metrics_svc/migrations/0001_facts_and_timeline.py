"""Facts as the platforms told them, and what is derived from them."""

from alembic import op

from shared.db.tables import INBOX, OUTBOX

revision = "0001"
down_revision = None

# ---- facts: the platforms' own references; `version` decides which report of a thing is its newest ------------

CHANGE = """
CREATE TABLE change (
    id text PRIMARY KEY,
    source text NOT NULL,
    repository text NOT NULL,
    number integer NOT NULL,
    title text NOT NULL,
    author text NOT NULL,
    author_kind text NOT NULL,
    state text NOT NULL,
    draft boolean NOT NULL,
    base_ref text NOT NULL,
    head_ref text NOT NULL,
    head_sha text NOT NULL,
    merge_sha text,
    opened_at timestamptz,
    ready_at timestamptz,
    merged_at timestamptz,
    closed_at timestamptz,
    additions integer,
    deletions integer,
    changed_files integer,
    labels text[] NOT NULL,
    url text NOT NULL,
    version text COLLATE "C" NOT NULL,
    delivery text NOT NULL
)
"""
# `position` is the second of the push times 10,000 plus the commit's place in it. The same sha pushed twice is two
# rows: each is a fact of its own.
COMMIT = """
CREATE TABLE commit (
    repository text NOT NULL,
    sha text NOT NULL,
    branch text NOT NULL,
    position bigint NOT NULL,
    on_default boolean NOT NULL,
    authored_at timestamptz,
    author text NOT NULL,
    source text NOT NULL,
    delivery text NOT NULL,
    PRIMARY KEY (repository, sha, branch, position)
)
"""
DEPLOYMENT = """
CREATE TABLE deployment (
    id text PRIMARY KEY,
    source text NOT NULL,
    repository text NOT NULL,
    deployment_id text NOT NULL,
    environment text NOT NULL,
    sha text NOT NULL,
    ref text NOT NULL,
    creator text NOT NULL,
    url text NOT NULL,
    requested_at timestamptz,
    started_at timestamptz,
    outcome text,
    finished_at timestamptz,
    finish_version text COLLATE "C",
    version text COLLATE "C" NOT NULL,
    delivery text NOT NULL
)
"""
INCIDENT = """
CREATE TABLE incident (
    id text PRIMARY KEY,
    source text NOT NULL,
    incident_id text NOT NULL,
    number integer,
    title text NOT NULL,
    status text NOT NULL,
    urgency text NOT NULL,
    service_id text NOT NULL,
    service_name text NOT NULL,
    url text NOT NULL,
    opened_at timestamptz,
    version text COLLATE "C" NOT NULL,
    delivery text NOT NULL
)
"""
INCIDENT_TRANSITION = """
CREATE TABLE incident_transition (
    incident text NOT NULL,
    occurred_at timestamptz NOT NULL,
    kind text COLLATE "C" NOT NULL,
    reason text NOT NULL,
    delivery text NOT NULL,
    PRIMARY KEY (incident, occurred_at, kind)
)
"""
FACT_INDEXES = (
    "CREATE INDEX change_merge_sha ON change (repository, merge_sha) WHERE merge_sha IS NOT NULL",
    "CREATE INDEX change_head_ref ON change (repository, head_ref, merged_at, id)",
    "CREATE INDEX commit_branch ON commit (repository, branch, position)",
    "CREATE INDEX deployment_finished ON deployment (repository, finished_at) WHERE outcome = 'succeeded'",
)

# ---- derived: the same for any order of the facts -------------------------------------------------------------

REPOSITORY = "CREATE TABLE repository (name text PRIMARY KEY, service text NOT NULL)"
# A timeline is the deployments of one repository of a service, ordered by (finished_at, id). `position` is how far
# along the default branch a deployment reaches; not `exact`, it is the time of the start on the same scale.
PRODUCTION_DEPLOYMENT = """
CREATE TABLE production_deployment (
    id text PRIMARY KEY,
    service text NOT NULL,
    repository text NOT NULL,
    environment text NOT NULL,
    sha text NOT NULL,
    finished_at timestamptz NOT NULL,
    position bigint NOT NULL,
    exact boolean NOT NULL,
    kind text NOT NULL DEFAULT 'normal' CHECK (kind IN ('normal', 'rollback', 'hotfix', 'redeploy')),
    seed boolean NOT NULL DEFAULT false,
    remediates text,
    failed boolean NOT NULL DEFAULT false,
    failed_because text[] NOT NULL DEFAULT '{}',
    recovered_at timestamptz
)
"""
# One row per merged change; `deployment` is empty until one carries it.
CHANGE_LINK = """
CREATE TABLE change_link (
    change text PRIMARY KEY,
    service text NOT NULL,
    repository text NOT NULL,
    merged_at timestamptz NOT NULL,
    position bigint NOT NULL,
    exact boolean NOT NULL,
    hotfix boolean NOT NULL,
    first_commit_at timestamptz,
    deployment text,
    deployed_at timestamptz,
    method text NOT NULL,
    confidence real NOT NULL,
    lead_time_s double precision
)
"""
INCIDENT_LINK = """
CREATE TABLE incident_link (
    incident text PRIMARY KEY,
    service text,
    opened_at timestamptz,
    resolved_at timestamptz,
    deployment text,
    method text NOT NULL,
    confidence real NOT NULL
)
"""
DERIVED_INDEXES = (
    "CREATE INDEX timeline ON production_deployment (service, repository, finished_at, id)",
    "CREATE INDEX timeline_sha ON production_deployment (service, repository, sha, finished_at, id)",
    "CREATE INDEX timeline_carriers ON production_deployment (service, repository, finished_at, id)"
    " WHERE kind IN ('normal', 'hotfix')",
    "CREATE INDEX timeline_changing ON production_deployment (service, finished_at, id) WHERE kind <> 'redeploy'",
    "CREATE INDEX production_deployment_sha ON production_deployment (repository, sha)",
    "CREATE INDEX production_deployment_finished ON production_deployment (service, finished_at)",
    "CREATE INDEX production_deployment_recovered ON production_deployment (service, recovered_at)"
    " WHERE recovered_at IS NOT NULL",
    "CREATE INDEX production_deployment_remediates ON production_deployment (remediates) WHERE remediates IS NOT NULL",
    "CREATE INDEX change_link_position ON change_link (service, repository, position)",
    "CREATE INDEX change_link_deployment ON change_link (deployment) WHERE deployment IS NOT NULL",
    "CREATE INDEX change_link_unlinked ON change_link (service, merged_at) WHERE deployment IS NULL",
    "CREATE INDEX incident_link_opened ON incident_link (service, opened_at)",
    "CREATE INDEX incident_link_deployment ON incident_link (deployment) WHERE deployment IS NOT NULL",
)

# What people asked, and why an answer was held back (law 9).
COMMAND = """
CREATE TABLE command (
    id text PRIMARY KEY,
    name text NOT NULL,
    received_at timestamptz,
    held_because text NOT NULL
)
"""


def upgrade() -> None:
    facts = (CHANGE, COMMIT, DEPLOYMENT, INCIDENT, INCIDENT_TRANSITION, *FACT_INDEXES)
    derived = (REPOSITORY, PRODUCTION_DEPLOYMENT, CHANGE_LINK, INCIDENT_LINK, *DERIVED_INDEXES)
    for statement in (*facts, *derived, COMMAND, INBOX, OUTBOX):
        op.execute(statement)
