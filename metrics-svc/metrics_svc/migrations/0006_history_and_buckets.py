"""What was known when, daily buckets, and the facts that more ways of linking read."""

from alembic import op

revision = "0006"
down_revision = "0005"

# ---- facts ----------------------------------------------------------------------------------------------------

# `commit_sha`: of the application, also where the platform reports its configuration's and the image's tag tells.
# A commit is `skewed` when its author's clock was ahead of the push: it has no date then.
FACTS = (
    "ALTER TABLE change ADD COLUMN reverts_number integer, ADD COLUMN reverts_title text",
    "CREATE INDEX change_reverts_number ON change (repository, reverts_number) WHERE reverts_number IS NOT NULL",
    "CREATE INDEX change_reverts_title ON change (repository, reverts_title) WHERE reverts_title IS NOT NULL",
    "CREATE INDEX change_title ON change (md5(title), repository) WHERE merged_at IS NOT NULL",
    "CREATE INDEX change_number ON change (number, repository)",
    "ALTER TABLE commit ADD COLUMN skewed boolean NOT NULL DEFAULT false",
    """
    ALTER TABLE deployment
        ADD COLUMN commit_sha text NOT NULL DEFAULT '',
        ADD COLUMN mapped boolean NOT NULL DEFAULT false,
        ADD COLUMN rollback boolean NOT NULL DEFAULT false,
        ADD COLUMN config_only boolean NOT NULL DEFAULT false
    """,
    "UPDATE deployment SET commit_sha = sha",
    "DROP INDEX deployment_sha",
    "CREATE INDEX deployment_own_id ON deployment (deployment_id)",
    "CREATE INDEX deployment_sha ON deployment (commit_sha) WHERE outcome = 'succeeded' AND commit_sha <> ''",
)
# What a deployment says it carries: a sha, or `#` and the number of a change.
CARRIED = """
CREATE TABLE carried (
    repository text NOT NULL,
    item text NOT NULL,
    deployment text NOT NULL,
    PRIMARY KEY (repository, item, deployment)
)
"""
# What somebody says has caused an incident: a deployment's own id, or a sha; told in a field or in a note.
INCIDENT_CAUSE = """
CREATE TABLE incident_cause (
    incident text NOT NULL,
    item text NOT NULL,
    method text NOT NULL CHECK (method IN ('explicit', 'note')),
    PRIMARY KEY (incident, item, method)
)
"""

# ---- derived --------------------------------------------------------------------------------------------------

# `branch` holds the deployed commit: '' is the default branch, null where no push told of it. `long_gap`: more than
# 60 days after its predecessor. `mapped`: its commit was read from an image's tag.
DERIVED = (
    """
    ALTER TABLE production_deployment
        ADD COLUMN branch text,
        ADD COLUMN mapped boolean NOT NULL DEFAULT false,
        ADD COLUMN long_gap boolean NOT NULL DEFAULT false,
        DROP CONSTRAINT production_deployment_kind_check,
        ADD CONSTRAINT production_deployment_kind_check
            CHECK (kind IN ('normal', 'rollback', 'revert', 'hotfix', 'redeploy'))
    """,
    "UPDATE production_deployment SET branch = '' WHERE exact",
    "DROP INDEX timeline_carriers",
    "CREATE INDEX timeline_carriers ON production_deployment (service, repository, finished_at, id)"
    " WHERE kind IN ('normal', 'revert', 'hotfix')",
    "CREATE INDEX timeline_branch ON production_deployment (service, repository, branch, finished_at, id)"
    " WHERE branch <> ''",
    "CREATE INDEX production_deployment_of_sha ON production_deployment (service, sha text_pattern_ops)",
    "ALTER TABLE change_link ADD COLUMN reverts text, ADD COLUMN commit_times timestamptz[]",
    "CREATE INDEX change_link_reverts ON change_link (reverts) WHERE reverts IS NOT NULL",
    "CREATE INDEX change_link_deployed ON change_link (service, deployed_at) INCLUDE (lead_time_s, confidence)"
    " WHERE deployment IS NOT NULL",
    "CREATE INDEX incident_link_moments ON incident_link (service, opened_at) WHERE deployment IS NULL",
)
SERVICE = """
CREATE TABLE service (
    name text PRIMARY KEY,
    team text NOT NULL,
    catalog_version bigint NOT NULL DEFAULT 0
)
"""
# A day in UTC of a service and a production environment; what a number was before stands in `bucket_past`.
BUCKET = """
CREATE TABLE bucket (
    service text NOT NULL,
    environment text NOT NULL,
    day date NOT NULL,
    deployments integer NOT NULL,
    failed integer NOT NULL,
    rework integer NOT NULL,
    lead_n integer NOT NULL,
    lead_p50_s double precision,
    recovery_n integer NOT NULL,
    recovery_p50_s double precision,
    causes text[] NOT NULL,
    revision integer NOT NULL DEFAULT 1,
    catalog_version bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (service, environment, day)
)
"""

# ---- what was known when --------------------------------------------------------------------------------------

REMEMBERED = ("production_deployment", "change_link", "incident_link", "bucket")
# A transaction knows all that it derives at one moment, taken at its first change: it holds the locks of what it
# touches by then, so that moments follow each other. What it changes twice is one change; what it writes as it was,
# none.
REMEMBER = """
CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz := nullif(current_setting('em.known_at', true), '')::timestamptz;
    same record;
BEGIN
    IF moment IS NULL THEN
        moment := clock_timestamp();
        PERFORM set_config('em.known_at', moment::text, true);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        NEW.known_from := moment;
    END IF;
    IF TG_OP = 'INSERT' THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        same := NEW;
        same.known_from := OLD.known_from;
        same.catalog_version := OLD.catalog_version;
        IF same IS NOT DISTINCT FROM OLD THEN
            NEW.known_from := OLD.known_from;
            RETURN NEW;
        END IF;
    END IF;
    IF OLD.known_from < moment THEN
        EXECUTE format('INSERT INTO %I.%I SELECT $2, $1.*', TG_TABLE_SCHEMA, TG_TABLE_NAME || '_past')
        USING OLD, moment;
    END IF;
    RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
END $$
"""
# The same columns, known from one moment until the other; `em.as_of` is the moment that a reader asks about.
KNOWN = """
DO $do$ BEGIN
    EXECUTE format($format$
        CREATE FUNCTION known_{table}() RETURNS SETOF {table} LANGUAGE sql STABLE AS $$
            SELECT * FROM {table} WHERE known_from <= current_setting('em.as_of')::timestamptz
            UNION ALL
            SELECT %s FROM {table}_past
            WHERE known_from <= current_setting('em.as_of')::timestamptz
              AND known_until > current_setting('em.as_of')::timestamptz
        $$
    $format$, (
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = to_regclass('{table}') AND attnum > 0 AND NOT attisdropped
    ));
END $do$
"""
PAST_KEYS = {
    "production_deployment": "(service, finished_at)",
    "change_link": "(service, merged_at)",
    "incident_link": "(service, opened_at)",
    "bucket": "(service, day)",
}


def upgrade() -> None:
    for statement in (*FACTS, CARRIED, INCIDENT_CAUSE, *DERIVED, SERVICE, BUCKET, REMEMBER):
        op.execute(statement)
    op.execute("CREATE INDEX carried_deployment ON carried (deployment)")
    op.execute("CREATE INDEX incident_cause_item ON incident_cause (left(item, 7))")
    for table in ("service", "bucket"):
        op.execute(
            f"CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION stamp_catalog_version()"
        )
    for table in REMEMBERED:
        _remember(table)


def _remember(table: str) -> None:
    op.execute(f"ALTER TABLE {table} ADD COLUMN known_from timestamptz NOT NULL DEFAULT now()")
    op.execute(f"CREATE TABLE {table}_past (known_until timestamptz NOT NULL, LIKE {table})")
    op.execute(f"CREATE INDEX {table}_past_key ON {table}_past {PAST_KEYS[table]}")
    op.execute(f"CREATE INDEX {table}_past_until ON {table}_past (known_until)")
    op.execute(
        f"CREATE TRIGGER remember BEFORE INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION remember()"
    )
    op.execute(KNOWN.replace("{table}", table))
