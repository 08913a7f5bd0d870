"""Why the median change lead time moved between two windows: what each stage contributed. Pure.

A median is no sum, so its stages are those of the changes around it: per window a *profile* is the mean duration of
each stage over the tenth of the changes (at least five) whose lead time is nearest to the median, scaled so that the
profile sums to the median. What of a lead time its stages do not hold (missing ones, overlaps) is the stage `unstaged`.
A contribution is the difference of two profiles; by construction they sum to the difference of the medians.

Its limit: a profile tells of changes in the middle. What happens to the slowest ones is in p90, not here.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from metrics_svc.dora import percentile
from metrics_svc.flow.stages import STAGES

UNSTAGED = "unstaged"
NEAREST_SHARE = 0.1
NEAREST_MIN = 5


class Staged(msgspec.Struct, frozen=True, kw_only=True):
    """A deployed change: its lead time and stages in seconds; a stage that is not known is missing."""

    lead_time_s: float
    stages: Mapping[str, float]


class Contribution(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds of the median that a stage makes up before and after, and their difference."""

    stage: str
    before_s: float
    after_s: float
    change_s: float


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """`contributions` sum to `after_s` - `before_s`, the difference of the two medians."""

    before_s: float
    after_s: float
    before_n: int
    after_n: int
    contributions: Sequence[Contribution]


def staged(shipped: Sequence[Mapping[str, Any]]) -> list[Staged]:
    """Of rows of `store.flow.shipped`."""
    return [
        Staged(
            lead_time_s=row["sample"],
            stages={stage: row[f"{stage}_s"] for stage in STAGES if row[f"{stage}_s"] is not None},
        )
        for row in shipped
    ]


def explain(before: Sequence[Staged], after: Sequence[Staged]) -> Explanation | None:
    """None where one side has no changes."""
    if not before or not after:
        return None
    was, now = profile(before), profile(after)
    return Explanation(
        before_s=math.fsum(was.values()),
        after_s=math.fsum(now.values()),
        before_n=len(before),
        after_n=len(after),
        contributions=[
            Contribution(stage=stage, before_s=was[stage], after_s=now[stage], change_s=now[stage] - was[stage])
            for stage in (*STAGES, UNSTAGED)
        ],
    )


def profile(changes: Sequence[Staged]) -> dict[str, float]:
    """Seconds by stage, which sum to the median of the lead times."""
    median = percentile(sorted(change.lead_time_s for change in changes), 0.5) or 0.0
    count = max(NEAREST_MIN, math.ceil(len(changes) * NEAREST_SHARE))
    nearest = sorted(changes, key=lambda change: (abs(change.lead_time_s - median), change.lead_time_s))[:count]
    means = {stage: math.fsum(change.stages.get(stage, 0.0) for change in nearest) / len(nearest) for stage in STAGES}
    whole = math.fsum(change.lead_time_s for change in nearest) / len(nearest)
    means[UNSTAGED] = whole - math.fsum(means.values())
    if not whole:
        return {**dict.fromkeys(means, 0.0), UNSTAGED: median}
    return {stage: mean * median / whole for stage, mean in means.items()}
