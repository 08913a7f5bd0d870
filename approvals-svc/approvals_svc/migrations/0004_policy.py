"""The policy as numbered versions; more states; who had a part; deadlines that fire once."""

from alembic import op

from shared.db.tables import file_version

revision = "0004"
down_revision = "0003"

STATUSES = """
ALTER TABLE approval
    DROP CONSTRAINT approval_status_check,
    DROP CONSTRAINT approval_decision_check,
    ADD CONSTRAINT approval_status_check CHECK (status IN (
        'pending', 'auto_approved', 'approved', 'rejected', 'expired', 'cancelled', 'superseded',
        'executing', 'executed', 'failed', 'dead', 'revoked'
    )),
    ADD CONSTRAINT approval_decision_check CHECK (decision IN (
        '', 'auto_approved', 'approved', 'rejected', 'expired', 'cancelled', 'superseded'
    ))
"""
COLUMNS = """
ALTER TABLE approval
    ADD COLUMN involved jsonb NOT NULL DEFAULT '[]',
    ADD COLUMN facts jsonb NOT NULL DEFAULT '{"action": ""}',
    ADD COLUMN is_escalated boolean NOT NULL DEFAULT false,
    ADD COLUMN is_extended boolean NOT NULL DEFAULT false,
    ADD COLUMN superseded_by bigint REFERENCES approval
"""
# What the version before asked, or asks while both run, keeps what it was asked under: one group's seats, and nobody
# who asked. Without this it would read as a question to everybody.
COMPLETE = """
CREATE FUNCTION complete_approval() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
    IF NOT NEW.requirement ? 'terms' THEN
        NEW.involved := (
            SELECT coalesce(jsonb_agg(jsonb_build_object(
                'role', 'requester', 'platform', NEW.source, 'name', name
            )), '[]') FROM unnest(NEW.requesters) AS name
        );
        NEW.facts := jsonb_build_object('action', NEW.action, 'service', NEW.service, 'environment', NEW.environment,
                                        'repository', NEW.repository);
        NEW.requirement := NEW.requirement || jsonb_build_object('terms', jsonb_build_object(
            'requires', jsonb_build_object(
                'type', 'seats', 'group', coalesce(NEW.requirement->'group', '""'),
                'count', NEW.requirement->'count', 'people', coalesce(NEW.requirement->'people', 'null')
            ),
            'separation', '["requester"]'::jsonb,
            'expires_after_s', NEW.requirement->'expires_after_s'
        ));
    END IF;
    RETURN NEW;
END $$
"""
COMPLETE_TRIGGER = """
CREATE TRIGGER approval_complete BEFORE INSERT OR UPDATE OF requirement ON approval
FOR EACH ROW EXECUTE FUNCTION complete_approval()
"""
KEPT = "UPDATE approval SET requirement = requirement"
DEADLINE = """
CREATE TABLE deadline (
    approval_id bigint NOT NULL REFERENCES approval,
    kind text NOT NULL CHECK (kind IN ('remind', 'escalate', 'expire', 'thaw')),
    due_at timestamptz NOT NULL,
    fired_at timestamptz,
    PRIMARY KEY (approval_id, kind)
)
"""
DEADLINE_DUE = "CREATE INDEX deadline_due ON deadline (due_at) WHERE fired_at IS NULL"
# Whoever opens an approval, its time ends.
EXPIRES = """
CREATE FUNCTION schedule_expiry() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
    INSERT INTO deadline (approval_id, kind, due_at) VALUES (NEW.id, 'expire', NEW.expires_at);
    RETURN NULL;
END $$
"""
EXPIRES_TRIGGER = """
CREATE TRIGGER approval_expires AFTER INSERT ON approval FOR EACH ROW EXECUTE FUNCTION schedule_expiry()
"""
PENDING = """
INSERT INTO deadline (approval_id, kind, due_at)
SELECT id, 'expire', expires_at FROM approval WHERE status = 'pending'
"""


def upgrade() -> None:
    for statement in (
        *(file_version("policy_version"), STATUSES, COLUMNS, COMPLETE, COMPLETE_TRIGGER, KEPT),
        *(DEADLINE, DEADLINE_DUE, EXPIRES, EXPIRES_TRIGGER, PENDING),
    ):
        op.execute(statement)
