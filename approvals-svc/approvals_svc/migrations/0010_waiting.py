"""Runs and deployments that wait no more, and since when an approval is asked for at its platform."""

from alembic import op

revision = "0010"
down_revision = "0009"

# `reference`: run:<id> or deployment:<id>, as the platform numbers them.
PASSED = """
CREATE TABLE passed (
    source text NOT NULL,
    repository text NOT NULL,
    reference text NOT NULL,
    at timestamptz NOT NULL,
    known_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, repository, reference)
)
"""
PASSED_AGE = "CREATE INDEX passed_known ON passed (known_at)"
ASKED_AT = "ALTER TABLE approval ADD COLUMN asked_at timestamptz"
WAITING = "CREATE INDEX approval_waiting ON approval (source, repository) WHERE status = 'pending'"


def upgrade() -> None:
    for statement in (PASSED, PASSED_AGE, ASKED_AT, WAITING):
        op.execute(statement)
