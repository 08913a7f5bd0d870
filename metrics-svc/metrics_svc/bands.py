"""Bands of performance: always with the year of their source, and never of fewer than five. Pure.

Thresholds as the tools publish them (reference dora.md, section 2.1): 2023 and 2021 by Apache DevLake, 2019 by
fourkeys. The clusters of 2024 are not monotone in the change fail rate, so that no single number has a band of 2024;
the quick check of 2025 scores instead (`score_2025`).
"""

from collections.abc import Mapping, Sequence

import msgspec

from metrics_svc.dora import FAIL_RATE, FREQUENCY, LEAD_TIME, RECOVERY_TIME, REWORK_RATE, Metric

N_MIN = 5
HOUR, DAY = 3_600.0, 86_400.0
WEEK, MONTH = 7 * DAY, 30 * DAY
NAMES = ("elite", "high", "medium", "low")

# Per metric the bounds of elite, high and medium: durations are below theirs, rates at most, frequencies at least. The
# sources count days with a deployment per week or month; as a rate (deployments a day) that is a seventh or thirtieth.
_YEARS: Mapping[int, Mapping[str, Sequence[float]]] = {
    2023: {
        LEAD_TIME: (DAY, WEEK, MONTH),
        FREQUENCY: (5 / 7, 1 / 7, 1 / 30),
        FAIL_RATE: (0.05, 0.10, 0.15),
        RECOVERY_TIME: (HOUR, DAY, WEEK),
    },
    2021: {LEAD_TIME: (HOUR, WEEK, 180 * DAY), FAIL_RATE: (0.15, 0.20, 0.30)},
    2019: {LEAD_TIME: (DAY, WEEK, 730 * HOUR), FREQUENCY: (3 / 7, 1 / 7, 1 / 30), FAIL_RATE: (0.15, 0.15, 0.46)},
}
YEARS = tuple(_YEARS)

# Upper bounds of the quick check's categories 6 to 2; what is longer is 1. Rates score 10 - percent / 10.
_SCORED = (HOUR, DAY, WEEK, MONTH, 182 * DAY)
_SCORED_PER_DAY = (1.0, 1 / 7, 1 / 30, 1 / 182)


class Band(msgspec.Struct, frozen=True):
    name: str
    year: int


def band(metric: str, measured: Metric, year: int) -> Band | None:
    """None where the year has no bounds for the metric, or it was measured on fewer than five."""
    bounds = _YEARS[year].get(metric)
    if bounds is None or measured.value is None or measured.n < N_MIN:
        return None
    value = measured.value
    reached = next((name for name, bound in zip(NAMES, bounds, strict=False) if _reaches(metric, value, bound)), None)
    return Band(reached or NAMES[-1], year)


def _reaches(metric: str, value: float, bound: float) -> bool:
    if metric == FREQUENCY:
        return value >= bound
    return value <= bound if metric == FAIL_RATE else value < bound


def score_2025(measured: Mapping[str, Metric]) -> float | None:
    """The quick check's mean of what is known, 0 to 10 (dora.dev, edition 2025); None under five of anything."""
    known = [_score(name, metric) for name, metric in measured.items() if metric.value is not None]
    scores = [score for score in known if score is not None]
    if not scores or measured[FREQUENCY].n < N_MIN:
        return None
    return round(sum(scores) / len(scores), 2)


def _score(name: str, metric: Metric) -> float | None:
    value = metric.value
    if value is None:
        return None
    if name in (FAIL_RATE, REWORK_RATE):
        return 10 - value * 10
    if name == FREQUENCY:
        return float(next((10 - 2 * i for i, least in enumerate(_SCORED_PER_DAY) if value >= least), 0))
    if name in (LEAD_TIME, RECOVERY_TIME):
        return float(next((10 - 2 * i for i, most in enumerate(_SCORED) if value < most), 0))
    return None
