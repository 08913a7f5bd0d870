"""A deployment may bring commits of several repositories: what it brought beside its own are its parts."""

from alembic import op

revision = "0021"
down_revision = "0020"

# A list of {repository, sha, mapped}: as the newest report with a commit tells it. Of an image's commit nobody says in
# which repository it is: that is '' there.
FACTS = (
    "ALTER TABLE deployment ADD COLUMN revisions jsonb",
    "CREATE INDEX deployment_revisions ON deployment USING gin (revisions jsonb_path_ops) WHERE revisions IS NOT NULL",
    # A commit is the same in whatever repository.
    """
    INSERT INTO carried SELECT DISTINCT '', item, deployment FROM carried WHERE item NOT LIKE '#%'
    ON CONFLICT DO NOTHING
    """,
    "DELETE FROM carried WHERE repository <> '' AND item NOT LIKE '#%'",
)
# The same columns mean the same as in `production_deployment`. `kind` is told by the repository's own timeline, on
# which deployments of that repository stand and parts of others.
PART = """
CREATE TABLE part (
    deployment text NOT NULL,
    repository text NOT NULL,
    service text NOT NULL,
    environment text NOT NULL,
    sha text NOT NULL,
    finished_at timestamptz NOT NULL,
    position bigint NOT NULL,
    exact boolean NOT NULL,
    branch text,
    mapped boolean NOT NULL,
    kind text NOT NULL DEFAULT 'normal' CHECK (kind IN ('normal', 'rollback', 'redeploy')),
    seed boolean NOT NULL DEFAULT false,
    long_gap boolean NOT NULL DEFAULT false,
    catalog_version bigint NOT NULL DEFAULT 0,
    known_from timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (deployment, repository)
)
"""
INDEXES = (
    "CREATE INDEX part_timeline ON part (service, repository, environment, finished_at, deployment)",
    "CREATE INDEX part_sha ON part (service, repository, environment, sha, finished_at, deployment)",
    "CREATE INDEX part_carriers ON part (service, repository, finished_at, deployment) WHERE kind = 'normal'",
    "CREATE INDEX part_branch ON part (service, repository, branch, finished_at, deployment) WHERE branch <> ''",
    "CREATE INDEX part_of_sha ON part (service, sha text_pattern_ops)",
    "CREATE INDEX repository_of ON repository (service)",
    "DROP INDEX production_deployment_sha",  # what has a commit is found by its service as well
)
REMEMBERED = (
    "CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON part FOR EACH ROW EXECUTE FUNCTION stamp_catalog_version()",
    "CREATE TABLE part_past (known_until timestamptz NOT NULL, LIKE part)",
    "CREATE INDEX part_past_key ON part_past (deployment)",
    "CREATE INDEX part_past_until ON part_past (known_until)",
    "CREATE TRIGGER remember BEFORE INSERT OR UPDATE OR DELETE ON part FOR EACH ROW EXECUTE FUNCTION remember()",
)
KNOWN = """
CREATE FUNCTION known_part() RETURNS SETOF part LANGUAGE sql STABLE AS $$
    SELECT * FROM part WHERE known_from <= (SELECT current_setting('em.as_of')::timestamptz)
    UNION ALL
    SELECT deployment, repository, service, environment, sha, finished_at, position, exact, branch, mapped, kind, seed,
           long_gap, catalog_version, known_from
    FROM part_past
    WHERE known_from <= (SELECT current_setting('em.as_of')::timestamptz)
      AND known_until > (SELECT current_setting('em.as_of')::timestamptz)
$$
"""


def upgrade() -> None:
    for statement in (*FACTS, PART, *INDEXES, *REMEMBERED, KNOWN):
        op.execute(statement)
