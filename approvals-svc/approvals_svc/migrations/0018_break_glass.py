"""Who broke the glass, and what they were about to confirm."""

from alembic import op

revision = "0018"
down_revision = "0017"

BROKEN_BY = "ALTER TABLE approval ADD broken_by text NOT NULL DEFAULT ''"
# One per person and revision: asking again starts anew. Only a hash of what confirms is kept.
BREAKING = """
CREATE TABLE breaking (
    approval_id bigint NOT NULL REFERENCES approval,
    revision integer NOT NULL,
    person text NOT NULL,
    reason text NOT NULL,
    confirm_sha256 text NOT NULL,
    asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (approval_id, revision, person)
)
"""


def upgrade() -> None:
    for statement in (BROKEN_BY, BREAKING):
        op.execute(statement)
