"""One number of a flow metric, as every door shows it."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from metrics_svc.dora import duration
from metrics_svc.window import Window


class FlowRow(msgspec.Struct, frozen=True, kw_only=True):
    """One number of a service (or, `service` empty, of a team: over all that its services had).

    `value` is null with `n` 0 where there is nothing to measure. `part` splits a metric (a size, a stage, a person).
    `coverage`: which share of the changes has the stage that is the part.
    """

    service: str
    team: str = ""
    metric: str
    start: datetime
    end: datetime
    unit: str
    value: float | None
    n: int
    part: str = ""
    p50: float | None = None
    p75: float | None = None
    p90: float | None = None
    p95: float | None = None
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    coverage: float | None = None


def count_row(service: str, metric: str, window: Window, value: float | None, n: int, unit: str = "count") -> FlowRow:
    return FlowRow(service=service, metric=metric, start=window.start, end=window.end, unit=unit, value=value, n=n)


def spread_row(service: str, metric: str, window: Window, samples: Sequence[float], unit: str) -> FlowRow:
    """Of samples that ascend, in another unit than seconds; the value is the median."""
    return msgspec.structs.replace(duration_row(service, metric, window, samples), unit=unit)


def duration_row(service: str, metric: str, window: Window, samples: Sequence[float]) -> FlowRow:
    """Of durations in seconds that ascend; the value is the median."""
    found = msgspec.to_builtins(duration(samples))
    return FlowRow(service=service, metric=metric, start=window.start, end=window.end, **found)
