"""Approvals with their votes, effects and audit; what was held back; inbox and outbox."""

from alembic import op

from shared.db.tables import INBOX, OUTBOX

revision = "0001"
down_revision = None

APPROVAL = """
CREATE TABLE approval (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    public_id uuid NOT NULL UNIQUE,
    external_key text NOT NULL UNIQUE,
    source text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    service text NOT NULL,
    environment text NOT NULL,
    repository text NOT NULL,
    sha text NOT NULL,
    url text NOT NULL,
    payload jsonb NOT NULL,
    content_hash text NOT NULL,
    requested_by text NOT NULL,
    requesters text[] NOT NULL,
    policy text NOT NULL,
    policy_version integer NOT NULL,
    requirement jsonb NOT NULL,
    origin text NOT NULL,
    revision integer NOT NULL DEFAULT 1,
    version integer NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'approved', 'rejected', 'expired', 'executed', 'dead')),
    decision text NOT NULL DEFAULT '' CHECK (decision IN ('', 'approved', 'rejected', 'expired')),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    decided_at timestamptz,
    audit_seq integer NOT NULL DEFAULT 0,
    audit_head text NOT NULL,
    counted boolean NOT NULL DEFAULT false,
    CHECK ((status = 'pending') = (decision = '')),
    CHECK ((decision = '') = (decided_at IS NULL))
)
"""
DUE = "CREATE INDEX approval_due ON approval (expires_at) WHERE status = 'pending'"
BY_STATUS = "CREATE INDEX approval_status ON approval (status, id)"
UNCOUNTED = "CREATE INDEX approval_uncounted ON approval (id) WHERE decision <> '' AND NOT counted"
VOTE = """
CREATE TABLE vote (
    approval_id bigint NOT NULL REFERENCES approval,
    revision integer NOT NULL,
    voter text NOT NULL,
    verb text NOT NULL CHECK (verb IN ('approve', 'reject')),
    reason text NOT NULL DEFAULT '',
    surface text NOT NULL,
    slack_user text NOT NULL DEFAULT '',
    cast_at timestamptz NOT NULL,
    PRIMARY KEY (approval_id, revision, voter)
)
"""
EFFECT = """
CREATE TABLE effect (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    approval_id bigint NOT NULL REFERENCES approval,
    revision integer NOT NULL,
    effect_kind text NOT NULL,
    payload jsonb NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'leased', 'done', 'dead')),
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz,
    epoch bigint NOT NULL DEFAULT 0,
    result text NOT NULL DEFAULT '',
    UNIQUE (approval_id, revision, effect_kind)
)
"""
EFFECT_DUE = "CREATE INDEX effect_due ON effect (next_at) WHERE state IN ('pending', 'leased')"
AUDIT = """
CREATE TABLE audit (
    approval_id bigint NOT NULL REFERENCES approval,
    seq integer NOT NULL,
    at timestamptz NOT NULL,
    actor jsonb NOT NULL,
    verb text NOT NULL,
    before text NOT NULL,
    after text NOT NULL,
    detail jsonb NOT NULL,
    prev_hash text NOT NULL,
    hash text NOT NULL,
    PRIMARY KEY (approval_id, seq)
)
"""
# The service's role may write every table of its schema; a trigger of the owner's keeps it from rewriting this one.
AUDIT_APPEND_ONLY = """
CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$
"""
AUDIT_TRIGGER = """
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit
FOR EACH ROW EXECUTE FUNCTION refuse_rewriting()
"""
TRIGGER_SEEN = """
CREATE TABLE trigger_seen (
    trigger_id text PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT now()
)
"""
TRIGGER_AGE = "CREATE INDEX trigger_seen_at ON trigger_seen (seen_at)"
HELD = """
CREATE TABLE held (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id text NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL,
    reason text NOT NULL,
    held_at timestamptz NOT NULL DEFAULT now()
)
"""
ANSWERED = """
CREATE TABLE answered (
    approval_id bigint NOT NULL REFERENCES approval,
    person text NOT NULL,
    idempotency_key text NOT NULL,
    request text NOT NULL,
    answer jsonb NOT NULL,
    answered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (approval_id, person, idempotency_key)
)
"""


def upgrade() -> None:
    for statement in (
        *(APPROVAL, DUE, BY_STATUS, UNCOUNTED, VOTE, EFFECT, EFFECT_DUE, AUDIT, AUDIT_APPEND_ONLY, AUDIT_TRIGGER),
        *(TRIGGER_SEEN, TRIGGER_AGE, HELD, ANSWERED, INBOX, OUTBOX),
    ):
        op.execute(statement)
