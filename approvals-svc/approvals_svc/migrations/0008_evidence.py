"""Facts that evidence is made of, and the evidence that was shown."""

from alembic import op

revision = "0008"
down_revision = "0007"

# `version` sorts as reports of one thing do. `known_at`: when it first reached us.
CHANGE = """
CREATE TABLE change (
    source text NOT NULL,
    repository text NOT NULL,
    number integer NOT NULL,
    title text NOT NULL,
    author text NOT NULL,
    author_kind text NOT NULL,
    state text NOT NULL,
    head_ref text NOT NULL,
    head_sha text NOT NULL,
    merge_sha text,
    additions integer,
    deletions integer,
    labels text[] NOT NULL,
    url text NOT NULL,
    told_at timestamptz NOT NULL,
    version text NOT NULL,
    known_at timestamptz NOT NULL,
    PRIMARY KEY (source, repository, number)
)
"""
CHANGE_MERGED = "CREATE INDEX change_merge_sha ON change (repository, merge_sha)"
CHANGE_HEAD = "CREATE INDEX change_head_sha ON change (repository, head_sha)"
# `position` orders the commits of a branch: second of the push times 10,000, and the place in it.
BRANCH_COMMIT = """
CREATE TABLE branch_commit (
    source text NOT NULL,
    repository text NOT NULL,
    branch text NOT NULL,
    sha text NOT NULL,
    position bigint NOT NULL,
    on_default boolean NOT NULL,
    title text NOT NULL,
    author text NOT NULL,
    trailers text[] NOT NULL,
    files text[],
    known_at timestamptz NOT NULL,
    PRIMARY KEY (source, repository, branch, sha)
)
"""
COMMIT_SHA = "CREATE INDEX branch_commit_sha ON branch_commit (source, repository, sha)"
COMMIT_POSITION = "CREATE INDEX branch_commit_position ON branch_commit (source, repository, branch, position)"
DEPLOYMENT = """
CREATE TABLE deployment (
    source text NOT NULL,
    repository text NOT NULL,
    deployment_id text NOT NULL,
    environment text NOT NULL,
    sha text NOT NULL,
    ref text NOT NULL,
    rollback boolean NOT NULL,
    url text NOT NULL,
    outcome text NOT NULL,
    finished_at timestamptz NOT NULL,
    version text NOT NULL,
    known_at timestamptz NOT NULL,
    PRIMARY KEY (source, repository, deployment_id)
)
"""
DEPLOYMENT_TIME = "CREATE INDEX deployment_finished_at ON deployment (source, repository, environment, finished_at)"
# Alerts beside them, known by their rule: which of those count is asked of the catalog.
INCIDENT = """
CREATE TABLE incident (
    source text NOT NULL,
    incident_id text NOT NULL,
    rule text NOT NULL,
    title text NOT NULL,
    urgency text NOT NULL,
    service_id text NOT NULL,
    service_name text NOT NULL,
    caused_by text NOT NULL,
    url text NOT NULL,
    opened_at timestamptz NOT NULL,
    version text NOT NULL,
    turned text NOT NULL,
    is_open boolean NOT NULL,
    known_at timestamptz NOT NULL,
    PRIMARY KEY (source, incident_id, rule)
)
"""
INCIDENT_OPEN = "CREATE INDEX incident_open ON incident (opened_at) WHERE is_open"
INCIDENT_TIME = "CREATE INDEX incident_opened_at ON incident (opened_at)"
RECOVERY = """
CREATE TABLE recovery (
    source text NOT NULL,
    incident_id text NOT NULL,
    rule text NOT NULL,
    at timestamptz NOT NULL,
    known_at timestamptz NOT NULL,
    PRIMARY KEY (source, incident_id, rule, at)
)
"""
QUALITY = """
CREATE TABLE quality (
    source text NOT NULL,
    project text NOT NULL,
    branch text NOT NULL,
    sha text NOT NULL,
    repository text NOT NULL,
    coverage double precision,
    coverage_base double precision,
    gate text NOT NULL,
    url text NOT NULL,
    told_at timestamptz NOT NULL,
    version text NOT NULL,
    known_at timestamptz NOT NULL,
    PRIMARY KEY (source, project, branch, sha)
)
"""
QUALITY_SHA = "CREATE INDEX quality_sha ON quality (sha)"
QUALITY_BRANCH = "CREATE INDEX quality_branch ON quality (repository, branch, told_at)"
TICKET = """
CREATE TABLE ticket (
    source text NOT NULL,
    ticket_id text NOT NULL,
    key text NOT NULL,
    title text NOT NULL,
    state text NOT NULL,
    url text NOT NULL,
    version text NOT NULL,
    known_at timestamptz NOT NULL,
    PRIMARY KEY (source, ticket_id)
)
"""
TICKET_KEY = "CREATE INDEX ticket_key ON ticket (key)"
# What metrics-svc says of a day of a service.
SERVICE_DAY = """
CREATE TABLE service_day (
    service text NOT NULL,
    environment text NOT NULL,
    day date NOT NULL,
    revision integer NOT NULL,
    deployments integer NOT NULL,
    failed integer NOT NULL,
    PRIMARY KEY (service, environment, day)
)
"""
AGES = [
    f"CREATE INDEX {table}_known_at ON {table} (known_at)"
    for table in ("change", "branch_commit", "deployment", "incident", "recovery", "quality", "ticket")
]
SHOWN = "ALTER TABLE approval ADD COLUMN evidence jsonb"


def upgrade() -> None:
    for statement in (
        *(CHANGE, CHANGE_MERGED, CHANGE_HEAD, BRANCH_COMMIT, COMMIT_SHA, COMMIT_POSITION),
        *(DEPLOYMENT, DEPLOYMENT_TIME, INCIDENT, INCIDENT_OPEN, INCIDENT_TIME, RECOVERY),
        *(QUALITY, QUALITY_SHA, QUALITY_BRANCH, TICKET, TICKET_KEY, SERVICE_DAY, *AGES, SHOWN),
    ):
        op.execute(statement)
