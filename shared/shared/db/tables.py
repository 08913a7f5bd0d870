"""Tables that every `once` service has in its own schema; migrations execute these texts."""

INBOX = """
CREATE TABLE inbox (
    consumer text NOT NULL,
    message_id text NOT NULL,
    seen_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, message_id)
)
"""

OUTBOX = """
CREATE TABLE outbox (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id text NOT NULL UNIQUE,
    subject text NOT NULL,
    body bytea NOT NULL,
    headers bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
)
"""
