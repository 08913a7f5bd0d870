"""What OPA is to be asked about."""

from alembic import op

revision = "0022"
down_revision = "0021"

QUESTIONS = """
CREATE TABLE opa_question (
    approval_id bigint PRIMARY KEY REFERENCES approval,
    due_at timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""


def upgrade() -> None:
    op.execute(QUESTIONS)
