"""From a message to what handlers get: a raw delivery or an event."""

from typing import Any

import msgspec

from shared.bus.bodies import Bodies, BodyLost
from shared.bus.received import Received
from shared.contracts.envelope import EM_SIZE, UnreadableMessage, read_delivery, read_event, salvage_delivery
from shared.contracts.streams import RAW, Durable


async def read(received: Received, durable: Durable, bodies: Bodies) -> Any:
    """None for a kind that this version doesn't know. Raises UnreadableMessage, or what the connection raises."""
    if durable.stream != RAW.name:
        return read_event(received.headers, received.body)
    delivery = read_delivery(received.headers, received.body, sequence=received.sequence)
    if not delivery.object:
        return delivery
    try:
        body = await bodies.get(delivery.object, sha256=delivery.sha256)
    except BodyLost as lost:
        raise UnreadableMessage(str(lost)) from None
    return msgspec.structs.replace(delivery, body=body)


def size(received: Received) -> int:
    """Bytes that it takes in memory once it is read."""
    elsewhere = received.headers.get(EM_SIZE, "")
    return int(elsewhere) if elsewhere.isdecimal() else len(received.body)


def salvage(received: Received, durable: Durable) -> Any:
    """What can be said of an unreadable delivery, for its disposition; nothing of an unreadable event."""
    if durable.stream != RAW.name:
        return None
    return salvage_delivery(received.headers, received.body, sequence=received.sequence, stored_at=received.stored_at)
