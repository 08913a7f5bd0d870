"""Slack accounts that the catalog doesn't know, and whose they are, as people confirmed."""

from alembic import op

revision = "0026"
down_revision = "0025"

SLACK_LINK = """
CREATE TABLE slack_link (
    team text NOT NULL,
    account text NOT NULL,
    person text NOT NULL,
    approval_id bigint NOT NULL REFERENCES approval,
    linked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (team, account)
)
"""


def upgrade() -> None:
    op.execute(SLACK_LINK)
