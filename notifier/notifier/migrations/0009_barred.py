"""Channels that take nothing any more."""

from alembic import op

revision = "0009"
down_revision = "0008"

# `barred_since`: the first refusal in a row; `barred_at`: the latest.
BARRED = """
ALTER TABLE pace
    ADD barred_since timestamptz,
    ADD barred_at timestamptz,
    ADD barred_by text NOT NULL DEFAULT ''
"""
MESSAGES_OF_CHANNEL = "CREATE INDEX message_channel ON message (channel, key)"
CALLS_BY_AGE = "CREATE INDEX call_age ON call (started_at)"


def upgrade() -> None:
    op.execute(BARRED)
    op.execute(MESSAGES_OF_CHANNEL)
    op.execute(CALLS_BY_AGE)
