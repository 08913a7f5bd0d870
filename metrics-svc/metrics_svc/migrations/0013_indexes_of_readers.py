"""What readers need: indexes of what is left out, and what was known at a moment that is looked up once."""

from alembic import op

revision = "0013"
down_revision = "0012"

# `change_link_deployed` answers alone, also what was known at a moment.
# Most changes have a lead time and most deployments are none again: these hold the others alone.
INDEXES = (
    "DROP INDEX change_link_deployed",
    "CREATE INDEX change_link_deployed ON change_link (service, deployed_at)"
    " INCLUDE (lead_time_s, confidence, known_from) WHERE deployment IS NOT NULL",
    "CREATE INDEX change_link_unmeasured ON change_link (service, deployed_at)"
    " WHERE deployment IS NOT NULL AND lead_time_s IS NULL",
    "CREATE INDEX production_deployment_redeploys ON production_deployment (service, finished_at)"
    " WHERE kind = 'redeploy'",
    "CREATE INDEX change_link_past_deployed ON change_link_past (service, deployed_at) WHERE deployment IS NOT NULL",
    "CREATE INDEX production_deployment_past_recovered ON production_deployment_past (service, recovered_at)"
    " WHERE recovered_at IS NOT NULL",
    "CREATE INDEX deployment_unsuccessful ON deployment (finished_at) WHERE outcome <> 'succeeded'",
)
# The moment as a subquery of its own: in the condition it would be read from its setting and parsed row by row.
KNOWN = """
DO $do$ BEGIN
    EXECUTE format($format$
        CREATE OR REPLACE FUNCTION known_{table}() RETURNS SETOF {table} LANGUAGE sql STABLE AS $$
            SELECT * FROM {table} WHERE known_from <= (SELECT current_setting('em.as_of')::timestamptz)
            UNION ALL
            SELECT %s FROM {table}_past
            WHERE known_from <= (SELECT current_setting('em.as_of')::timestamptz)
              AND known_until > (SELECT current_setting('em.as_of')::timestamptz)
        $$
    $format$, (
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = to_regclass('{table}') AND attnum > 0 AND NOT attisdropped
    ));
END $do$
"""


def upgrade() -> None:
    for statement in INDEXES:
        op.execute(statement)
    for table in ("production_deployment", "change_link", "incident_link", "bucket"):
        op.execute(KNOWN.replace("{table}", table))
