"""What all events have in common."""

from datetime import datetime
from typing import Annotated, Self

import msgspec

Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    """A fact in our terms, past tense.

    `occurred_at` is the platform's time, never the arrival. The other fields are stamped by whoever publishes:
    a translation leaves them empty. `source` is the platform or service that reported the fact, `delivery` the
    delivery that caused it, `received_at` when that reached us.
    """

    occurred_at: Instant
    time_is_received: bool = False
    id: str = ""
    source: str = ""
    delivery: str = ""
    origin: str = "live"
    received_at: Instant | None = None

    @property
    def kind(self) -> str:
        return kind_of(type(self))

    def stamped(self, *, id: str, source: str, origin: str, received_at: datetime | None, delivery: str = "") -> Self:
        return msgspec.structs.replace(
            self, id=id, source=source, origin=origin, received_at=received_at, delivery=delivery
        )


def kind_of(event_type: type[Event]) -> str:
    """The type tag, e.g. `change.opened`."""
    return str(event_type.__struct_config__.tag)
