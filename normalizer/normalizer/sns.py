"""What an SNS topic delivers: the message is a text inside an envelope, which may hold an event of EventBridge."""

import msgspec

from normalizer.bodies import read
from normalizer.disposition import Ignored

NOTIFICATION = "Notification"
HANDSHAKES = ("SubscriptionConfirmation", "UnsubscribeConfirmation")


class _Envelope(msgspec.Struct, rename="pascal"):
    type: str | None = None
    message: str | None = None
    topic_arn: str | None = None


def message_of(body: bytes) -> bytes | Ignored:
    """The JSON that was published; the body itself where it is no envelope. Raises Untranslatable."""
    envelope = read(body, _Envelope)
    if envelope.type in HANDSHAKES:
        return Ignored("handshake")
    if envelope.type != NOTIFICATION or envelope.topic_arn is None:
        return body
    message = (envelope.message or "").strip()
    return message.encode() if message.startswith("{") else Ignored("unknown_event")
