"""Every service and piece of a question with what was found there: one without anything has a row as well. Pure."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

import msgspec

from metrics_svc.dora import ratio
from metrics_svc.flow.row import FlowRow, count_row
from metrics_svc.question import Question
from metrics_svc.window import Window


class Placed(Protocol):
    """What lies in the piece of this number of the question's window."""

    @property
    def service(self) -> str: ...
    @property
    def piece(self) -> int: ...


P = TypeVar("P", bound=Placed)


def grid(found: Sequence[P], question: Question) -> Iterator[tuple[str, Window, list[P]]]:
    placed: dict[tuple[str, int], list[P]] = defaultdict(list)
    for each in found:
        placed[each.service, each.piece].append(each)
    pieces = question.buckets
    for service in question.services:
        for number, window in enumerate(pieces):
            yield service, window, placed.get((service, number), [])


def piece_of(moment: datetime, pieces: Sequence[Window]) -> int:
    """Number of the piece that holds a moment of the window."""
    return bisect_right(pieces, moment, key=lambda piece: piece.start) - 1


def ratio_row(service: str, metric: str, window: Window, counted: int, whole: int, *, part: str = "") -> FlowRow:
    found = ratio(counted, whole)
    return of_part(count_row(service, metric, window, found.value, found.n, found.unit), part)


def of_part(row: FlowRow, part: str) -> FlowRow:
    return msgspec.structs.replace(row, part=part)
