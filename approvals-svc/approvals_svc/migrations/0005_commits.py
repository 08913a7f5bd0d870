"""Who wrote what was pushed: for the separation of duties."""

from alembic import op

revision = "0005"
down_revision = "0004"

# `place`: the order in which pushes told of them.
PUSHED_COMMIT = """
CREATE TABLE pushed_commit (
    source text NOT NULL,
    repository text NOT NULL,
    sha text NOT NULL,
    place bigint GENERATED ALWAYS AS IDENTITY,
    push text NOT NULL,
    authors jsonb NOT NULL,
    known_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, repository, sha)
)
"""
PLACE = "CREATE INDEX pushed_commit_place ON pushed_commit (source, repository, place)"
AGE = "CREATE INDEX pushed_commit_known_at ON pushed_commit (known_at)"
DEPLOYED = "CREATE INDEX approval_executed ON approval (repository, environment, id) WHERE status = 'executed'"


def upgrade() -> None:
    for statement in (PUSHED_COMMIT, PLACE, AGE, DEPLOYED):
        op.execute(statement)
