"""From a message to what handlers get: a raw delivery or an event."""

from typing import Any

from shared.bus.received import Received
from shared.contracts.envelope import read_delivery, read_event, salvage_delivery
from shared.contracts.streams import RAW, Durable


def read(received: Received, durable: Durable) -> Any:
    """None for a kind that this version doesn't know. Raises UnreadableMessage."""
    if durable.stream == RAW.name:
        return read_delivery(received.headers, received.body, sequence=received.sequence)
    return read_event(received.headers, received.body)


def salvage(received: Received, durable: Durable) -> Any:
    """What can be said of an unreadable delivery, for its disposition; nothing of an unreadable event."""
    if durable.stream != RAW.name:
        return None
    return salvage_delivery(received.headers, received.body, sequence=received.sequence, stored_at=received.stored_at)
