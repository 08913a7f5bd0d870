"""What a day's quota had no room for is told by one message per channel."""

from alembic import op

revision = "0011"
down_revision = "0010"

# `digest`: the message that tells of this one instead.
DIGEST = """
ALTER TABLE message
    ADD digest text REFERENCES message (key),
    DROP CONSTRAINT message_state_check,
    ADD CONSTRAINT message_state_check
        CHECK (state IN ('ready', 'sending', 'unknown', 'shown', 'dry_run', 'dead', 'digested'))
"""
MEMBERS = "CREATE INDEX message_digest ON message (digest, number) WHERE digest IS NOT NULL"


def upgrade() -> None:
    op.execute(DIGEST)
    op.execute(MEMBERS)
