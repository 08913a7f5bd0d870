"""Dead letters: the original message with the reason why a consumer gave it up."""

from shared.bus.received import Received
from shared.contracts.envelope import (
    DEAD_CONSUMER,
    DEAD_ID,
    DEAD_REASON,
    DEAD_REPLAYS,
    DEAD_SEQUENCE,
    DEAD_STREAM,
    DEAD_SUBJECT,
    DEAD_TRIES,
    MESSAGE_ID,
    Outgoing,
)
from shared.contracts.streams import Durable
from shared.contracts.subjects import Subjects

REASON_MAX_CHARACTERS = 512


def dead_letter(subjects: Subjects, *, durable: Durable, received: Received, reason: str, tries: int) -> Outgoing:
    """Its id is `<consumer>:<stream>:<sequence>`, so that giving up twice leaves one dead letter.

    One that was replayed and died again has the number of its replays as well: the broker still knows the first id.
    """
    replays = received.headers.get(DEAD_REPLAYS, "")
    letter_id = f"{durable.name}:{subjects.stream(durable.stream)}:{received.sequence}"
    printable = "".join(c if c.isascii() and c.isprintable() else " " for c in reason)
    return Outgoing(
        subject=subjects.dead(durable.name),
        body=received.body,
        headers={
            **received.headers,
            MESSAGE_ID: f"{letter_id}:{replays}" if replays else letter_id,
            DEAD_REASON: printable[:REASON_MAX_CHARACTERS],
            DEAD_SUBJECT: received.subject,
            DEAD_CONSUMER: durable.name,
            DEAD_STREAM: durable.stream,
            DEAD_SEQUENCE: str(received.sequence),
            DEAD_ID: received.headers.get(MESSAGE_ID, ""),
            DEAD_TRIES: str(tries),
        },
    )
