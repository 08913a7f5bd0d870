"""What platforms spell in two ways, or leave out: ids as texts or numbers, times that only the arrival tells."""

from collections.abc import Iterable
from datetime import datetime
from typing import TypedDict

from normalizer.disposition import Untranslatable
from shared.contracts.envelope import RawDelivery

Id = str | int | None


class When(TypedDict):
    occurred_at: datetime
    time_is_received: bool


def when(delivery: RawDelivery, at: datetime | None) -> When:
    """The platform's time; the arrival where it tells none."""
    return {"occurred_at": at or delivery.received_at, "time_is_received": at is None}


def text(*candidates: Id) -> str:
    """The first that is there, as a text; "" where none is. 0 is an id as any other."""
    return next((str(each) for each in candidates if each is not None and each != ""), "")


def needed_id(name: str, *candidates: Id) -> str:
    """The first that is there. Raises Untranslatable when none is."""
    found = text(*candidates)
    if not found:
        raise Untranslatable(f"{name} is missing")
    return found


def tagged(name: str, labels: Iterable[str]) -> str:
    """The value of the first label `name:value`; "" where there is none."""
    prefix = f"{name}:"
    return next((label.removeprefix(prefix) for label in labels if label.startswith(prefix)), "")
