"""Lists, and who waits to hear where one was posted."""

from alembic import op

revision = "0010"
down_revision = "0009"

BULLETINS = """
ALTER TABLE thing
    DROP CONSTRAINT thing_kind_check,
    ADD CONSTRAINT thing_kind_check
        CHECK (kind IN ('deployment', 'incident', 'approval', 'nudge', 'summary', 'bulletin'))
"""
# `channel`: where `recipient` asked.
EXPECTED = """
CREATE TABLE expected (
    message text PRIMARY KEY REFERENCES message (key),
    channel text NOT NULL,
    recipient text NOT NULL,
    told boolean NOT NULL DEFAULT false
)
"""
UNTOLD = "CREATE INDEX expected_untold ON expected (message) WHERE NOT told"


def upgrade() -> None:
    for statement in (BULLETINS, EXPECTED, UNTOLD):
        op.execute(statement)
