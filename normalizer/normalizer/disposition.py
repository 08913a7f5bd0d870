"""What becomes of a delivery: events, ignored with a reason, or dead with a reason; exactly one of them (law 2)."""

from typing import TypeAlias, assert_never

import msgspec

from shared.contracts.events import Event
from shared.contracts.vocabulary import IgnoredReason


class Events(msgspec.Struct, frozen=True):
    """In the order of the body; at least one."""

    events: tuple[Event, ...]


class Ignored(msgspec.Struct, frozen=True):
    """Nothing we measure. `keeps_body` False: the archive holds the hash alone (what people say in chat)."""

    reason: IgnoredReason
    keeps_body: bool = True


class Dead(msgspec.Struct, frozen=True):
    reason: str


Disposition: TypeAlias = Events | Ignored | Dead


class Untranslatable(ValueError):
    """A known type lacks what it must have, or the body can't be decoded: a dead letter with this reason."""


def label(disposition: Disposition) -> tuple[str, str]:
    """(disposition, reason) as the archive and the metrics name them."""
    match disposition:
        case Events():
            return "events", ""
        case Ignored(reason):
            return "ignored", reason
        case Dead(reason):
            return "dead", reason
        case _:
            assert_never(disposition)
