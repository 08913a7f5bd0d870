"""What became of changes, by the piece in which it did: pickup, review, throughput, size, rounds. Pure."""

from collections.abc import Iterator, Sequence

import msgspec

from metrics_svc.flow.pieces import grid, of_part
from metrics_svc.flow.row import FlowRow, count_row, duration_row, spread_row
from metrics_svc.flow.samples import ChangeSamples, samples_of
from metrics_svc.question import Question
from metrics_svc.window import Window
from shared.catalog.changes import SIZES

PICKUP_TIME = "pickup_time"
REVIEW_TIME = "review_time"
THROUGHPUT = "throughput"
REWORK_CYCLES = "rework_cycles"
SIZE = "change_size"


def durations(metric: str, found: Sequence[ChangeSamples], question: Question) -> list[FlowRow]:
    """In seconds, as they are."""
    return [
        duration_row(service, metric, window, samples_of(changes)) for service, window, changes in grid(found, question)
    ]


def throughput(found: Sequence[ChangeSamples], question: Question) -> list[FlowRow]:
    """Changes merged, and of each size; one of unknown size counts in the whole alone."""
    return [row for service, window, merged in grid(found, question) for row in _by_size(service, window, merged)]


def rework_cycles(found: Sequence[ChangeSamples], question: Question) -> list[FlowRow]:
    """Rounds of requested changes per merged change. The value is the mean: the median of many is none."""
    rows = [
        spread_row(service, REWORK_CYCLES, window, samples_of(merged), "rounds")
        for service, window, merged in grid(found, question)
    ]
    return [msgspec.structs.replace(row, value=row.mean, low=None, high=None) for row in rows]


def change_size(found: Sequence[ChangeSamples], question: Question) -> list[FlowRow]:
    """Lines changed per merged change."""
    return [
        spread_row(service, SIZE, window, samples_of(merged), "lines")
        for service, window, merged in grid(found, question)
    ]


def _by_size(service: str, window: Window, merged: Sequence[ChangeSamples]) -> Iterator[FlowRow]:
    yield _merged(service, window, sum(each.n for each in merged), "")
    for size in SIZES:
        yield _merged(service, window, sum(each.counts[size] for each in merged), size)


def _merged(service: str, window: Window, merged: int, part: str) -> FlowRow:
    return of_part(count_row(service, THROUGHPUT, window, float(merged) if merged else None, merged), part)
