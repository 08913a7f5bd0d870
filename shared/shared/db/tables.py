"""Tables that services have in their own schema; migrations execute these texts.

Every service with a schema has ATTEMPT, WAITING and PAUSED; every `once` service INBOX and OUTBOX as well.
`consumer` is always the label of a durable, e.g. `notifier:EVENTS`; `sequence` that of its stream.
"""

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

# Tries alone of a suspect, counted and committed before each try: a message that kills the process counts too.
ATTEMPT = """
CREATE TABLE attempt (
    consumer text NOT NULL,
    sequence bigint NOT NULL,
    tries integer NOT NULL,
    reason text NOT NULL DEFAULT '',
    last_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, sequence)
)
"""

# Messages that were taken off the stream to be handled later, by this consumer alone: long retries, those of a
# paused subject, replayed dead letters. Whoever takes one moves its `due_at` on: a lease, as `ack_wait` is.
WAITING = """
CREATE TABLE waiting (
    consumer text NOT NULL,
    sequence bigint NOT NULL,
    subject text NOT NULL,
    headers bytea NOT NULL,
    body bytea NOT NULL,
    stored_at timestamptz NOT NULL,
    reason text NOT NULL,
    due_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, sequence)
)
"""
WAITING_DUE = "CREATE INDEX waiting_due ON waiting (consumer, due_at)"

PAUSED = """
CREATE TABLE paused (
    consumer text NOT NULL,
    subject text NOT NULL,
    reason text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, subject)
)
"""

FAILURE_RULES = (ATTEMPT, WAITING, WAITING_DUE, PAUSED)


def file_version(table: str) -> str:
    """Of an operator's file as it was, one row per content that differed from the one before."""
    return f"""
    CREATE TABLE {table} (
        number bigint PRIMARY KEY,
        sha256 text NOT NULL,
        content text NOT NULL,
        loaded_at timestamptz NOT NULL DEFAULT now()
    )
    """


CATALOG_VERSION = file_version("catalog_version")  # of services that ask the catalog
