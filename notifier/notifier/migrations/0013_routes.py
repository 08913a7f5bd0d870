"""Routes as numbered versions; what waits to be told together; and why people were, or were not, told."""

from alembic import op

from shared.db.tables import file_version

revision = "0013"
down_revision = "0012"

KINDS = """
ALTER TABLE thing
    DROP CONSTRAINT thing_kind_check,
    ADD CONSTRAINT thing_kind_check CHECK (kind IN (
        'deployment', 'incident', 'approval', 'nudge', 'summary', 'bulletin', 'change', 'build', 'alert', 'quality',
        'release'
    ))
"""
# `pile`: what is told together in a channel. A thing waits once per channel.
GATHERED = """
CREATE TABLE gathered (
    thing text NOT NULL REFERENCES thing (key),
    channel text NOT NULL,
    pile text NOT NULL,
    how text NOT NULL CHECK (how IN ('group', 'quiet', 'digest')),
    urgent boolean NOT NULL,
    due_at timestamptz NOT NULL,
    PRIMARY KEY (thing, channel)
)
"""
GATHERED_DUE = "CREATE INDEX gathered_due ON gathered (due_at)"
GATHERED_PILE = "CREATE INDEX gathered_pile ON gathered (channel, pile)"
PILE = """
CREATE TABLE pile (
    channel text NOT NULL,
    name text NOT NULL,
    told_at timestamptz NOT NULL,
    PRIMARY KEY (channel, name)
)
"""
LISTED = """
CREATE TABLE listed (
    message text NOT NULL REFERENCES message (key),
    thing text NOT NULL REFERENCES thing (key),
    how text NOT NULL,
    PRIMARY KEY (message, thing)
)
"""
LISTED_THING = "CREATE INDEX listed_thing ON listed (thing)"
REASON = """
CREATE TABLE reason (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL,
    kind text NOT NULL,
    thing text NOT NULL,
    decision text NOT NULL,
    why text NOT NULL,
    channel text NOT NULL,
    route text NOT NULL,
    steps json NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (event_id, channel, route)
)
"""
REASON_THING = "CREATE INDEX reason_thing ON reason (thing)"
REASON_TIME = "CREATE INDEX reason_time ON reason (recorded_at)"


def upgrade() -> None:
    tables = (
        file_version("route_version"),
        KINDS,
        GATHERED,
        GATHERED_DUE,
        GATHERED_PILE,
        PILE,
        LISTED,
        LISTED_THING,
        REASON,
    )
    for statement in (*tables, REASON_THING, REASON_TIME):
        op.execute(statement)
