"""Things and what is known of them, the messages that tell of them, ephemeral answers, and what was held back."""

from alembic import op

from shared.db.tables import INBOX, OUTBOX

revision = "0001"
down_revision = None

# `json`, not `jsonb`: titles come from outside, and jsonb refuses an escaped NUL.
THING = """
CREATE TABLE thing (
    key text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('deployment', 'incident', 'approval')),
    content json NOT NULL
)
"""
# `version` counts what there was to show, `shown_version` is what Slack shows; `attempt` is the fence: only who made
# the latest attempt may write its result. `generation` grows when a message has to be posted afresh.
MESSAGE = """
CREATE TABLE message (
    key text PRIMARY KEY REFERENCES thing (key),
    channel text NOT NULL,
    urgent boolean NOT NULL,
    version integer NOT NULL DEFAULT 1,
    sent_version integer NOT NULL DEFAULT 0,
    shown_version integer NOT NULL DEFAULT 0,
    generation integer NOT NULL DEFAULT 1,
    state text NOT NULL DEFAULT 'ready'
        CHECK (state IN ('ready', 'sending', 'unknown', 'shown', 'dry_run', 'dead')),
    channel_id text,
    ts text,
    attempt integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    misses integer NOT NULL DEFAULT 0,
    text_only boolean NOT NULL DEFAULT false,
    first_started_at timestamptz,
    started_at timestamptz,
    lease_until timestamptz,
    not_before timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_error text NOT NULL DEFAULT ''
)
"""
DUE = "CREATE INDEX message_due ON message (channel, not_before) WHERE state IN ('ready', 'sending', 'unknown')"
# `name`: a channel, or `chat.update`, whose limit is the workspace's. `free_at`: when the next call may start; while
# one is under way, when its lease ends.
PACE = """
CREATE TABLE pace (
    name text PRIMARY KEY,
    channel_id text,
    free_at timestamptz NOT NULL DEFAULT now()
)
"""
UPDATES = "INSERT INTO pace (name) VALUES ('chat.update')"
EPHEMERAL = """
CREATE TABLE ephemeral (
    id text PRIMARY KEY,
    channel text NOT NULL,
    recipient text NOT NULL,
    text text NOT NULL,
    state text NOT NULL DEFAULT 'ready'
        CHECK (state IN ('ready', 'sending', 'unknown', 'shown', 'dry_run', 'dead')),
    attempt integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    not_before timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    last_error text NOT NULL DEFAULT ''
)
"""
EPHEMERAL_DUE = "CREATE INDEX ephemeral_due ON ephemeral (not_before) WHERE state IN ('ready', 'sending')"
HELD = """
CREATE TABLE held (
    event_id text PRIMARY KEY,
    key text NOT NULL,
    kind text NOT NULL,
    origin text NOT NULL,
    occurred_at timestamptz NOT NULL,
    reason text NOT NULL CHECK (reason IN ('origin', 'stale', 'no_channel')),
    recorded_at timestamptz NOT NULL DEFAULT now()
)
"""
HELD_BY_TIME = "CREATE INDEX held_occurred_at ON held (occurred_at, event_id)"


def upgrade() -> None:
    tables = (THING, MESSAGE, DUE, PACE, UPDATES, EPHEMERAL, EPHEMERAL_DUE, HELD, HELD_BY_TIME)
    for statement in (*tables, INBOX, OUTBOX):
        op.execute(statement)
