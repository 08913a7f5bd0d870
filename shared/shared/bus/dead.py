"""Dead letters: the original message with the reason why a consumer gave it up."""

from collections.abc import Mapping

from shared.contracts.envelope import DEAD_CONSUMER, DEAD_REASON, DEAD_SUBJECT, MESSAGE_ID, Outgoing
from shared.contracts.subjects import Subjects

REASON_MAX_CHARACTERS = 512


def dead_letter(
    subjects: Subjects,
    *,
    service: str,
    stream: str,
    sequence: int,
    subject: str,
    headers: Mapping[str, str],
    body: bytes,
    reason: str,
) -> Outgoing:
    """Its id is `<consumer>:<stream>:<sequence>`, so that giving up twice leaves one dead letter."""
    printable = "".join(c if c.isascii() and c.isprintable() else " " for c in reason)
    return Outgoing(
        subject=subjects.dead(service),
        body=body,
        headers={
            **headers,
            MESSAGE_ID: f"{service}:{stream}:{sequence}",
            DEAD_REASON: printable[:REASON_MAX_CHARACTERS],
            DEAD_SUBJECT: subject,
            DEAD_CONSUMER: service,
        },
    )
