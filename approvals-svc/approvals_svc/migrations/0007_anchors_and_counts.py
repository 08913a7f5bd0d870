"""Anchors over the audit, checks of it, what is counted of committed rows, and indexes for long lists."""

from alembic import op

revision = "0007"
down_revision = "0006"

ANCHOR = """
CREATE TABLE anchor (
    number bigint PRIMARY KEY,
    at timestamptz NOT NULL,
    approvals integer NOT NULL,
    prev_hash text NOT NULL,
    hash text NOT NULL
)
"""
# No reference to the approval: it has to outlive one that somebody deletes.
ANCHORED = """
CREATE TABLE anchored (
    anchor bigint NOT NULL REFERENCES anchor,
    approval_id bigint NOT NULL,
    seq integer NOT NULL,
    head text NOT NULL,
    PRIMARY KEY (anchor, approval_id)
)
"""
ANCHORED_BY_APPROVAL = "CREATE INDEX anchored_approval ON anchored (approval_id, seq)"
APPEND_ONLY = """
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
FOR EACH ROW EXECUTE FUNCTION refuse_rewriting()
"""
AUDIT_CHECK = """
CREATE TABLE audit_check (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rows bigint NOT NULL,
    problem text NOT NULL,
    counted boolean NOT NULL DEFAULT false,
    checked_at timestamptz NOT NULL DEFAULT now()
)
"""
AUDIT_BY_TIME = "CREATE INDEX audit_at ON audit (at, approval_id, seq)"
# How far each row is counted. What was counted by the old flag stays counted.
COUNTED = (
    "ALTER TABLE approval ADD COLUMN counted_seq integer NOT NULL DEFAULT 0",
    "UPDATE approval SET counted_seq = audit_seq WHERE counted OR decision = ''",
    "ALTER TABLE approval DROP COLUMN counted",
    "CREATE INDEX approval_uncounted ON approval (id) WHERE counted_seq < audit_seq",
    "ALTER TABLE effect ADD COLUMN counted_attempts integer NOT NULL DEFAULT 0, ADD COLUMN closed_at timestamptz",
    "UPDATE effect SET counted_attempts = attempts",
    "CREATE INDEX effect_uncounted ON effect (id) WHERE counted_attempts < attempts - (state = 'leased')::integer",
    "ALTER TABLE held ADD COLUMN refusal text NOT NULL DEFAULT '', ADD COLUMN counted boolean NOT NULL DEFAULT false",
    "CREATE INDEX held_uncounted ON held (id) WHERE refusal <> '' AND NOT counted",
)
PENDING_BY_AGE = "CREATE INDEX approval_pending_age ON approval (created_at) WHERE status = 'pending'"


def upgrade() -> None:
    for statement in (
        *(ANCHOR, ANCHORED, ANCHORED_BY_APPROVAL),
        *(APPEND_ONLY.format(table=table) for table in ("anchor", "anchored")),
        *(AUDIT_CHECK, AUDIT_BY_TIME, *COUNTED, PENDING_BY_AGE),
    ):
        op.execute(statement)
