"""Deterministic ids: the same fact has the same id however often, and by whomever, it is published."""

import hashlib
from uuid import UUID, uuid5

NAMESPACE = UUID("6f0b6b0e-9d0a-5f43-8f53-1d3a6c5d7e21")


def delivery_message_id(*, source: str, delivery: str, sha256: str) -> str:
    """`Nats-Msg-Id` on RAW. The body's hash is part of it: JetStream would swallow other bytes under the same id."""
    return f"{source}:{delivery}:{sha256[:16]}"


def body_delivery_id(source: str, body: bytes) -> str:
    """Delivery id of a sender that has none: hex sha256 of source, NUL and body."""
    return hashlib.sha256(source.encode() + b"\x00" + body).hexdigest()


def caused_by_delivery(*, source: str, delivery: str, sha256: str, ordinal: int) -> str:
    """Id of the `ordinal`-th event that a delivery caused.

    The body's hash takes part because two bodies under one delivery id are two deliveries (sources.md, 1.7).
    """
    return str(uuid5(NAMESPACE, f"{source}\x00{delivery}\x00{sha256}\x00{ordinal}"))


def step_of_entity(*, service: str, entity: str, revision: int, step: str) -> str:
    """Id of what a service says of an entity of its own, e.g. `approval:7`, revision 1, `voted:ana`."""
    return str(uuid5(NAMESPACE, f"{service}\x00{entity}\x00{revision}\x00{step}"))
