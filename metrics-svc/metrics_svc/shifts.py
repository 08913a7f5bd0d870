"""Change points of a weekly series: weeks that are not like the weeks before, with few false alarms. Pure.

The last three weeks that have a value are compared with the twelve before them (at least eight). A shift is told when
all three lie on one side of all but one of the twelve, and the ratio of the two medians is more than two and a half
robust deviations of the twelve (median absolute deviation of the logarithm, scaled to a normal one) and at least 1.5.
Both conditions: the ranks keep heavy tails from alarming, the size keeps noise of a quiet series from it.
Weeks without a value say nothing: they are passed over, not zero.
"""

import math
from collections.abc import Sequence
from datetime import date
from statistics import median

import msgspec

RECENT, BASE, BASE_MIN = 3, 12, 8
DEVIATIONS, RATIO_MIN = 2.5, 1.5
DEVIATION_MIN = 0.08  # of a logarithm: a series that never moved is not infinitely sure
MAD_TO_DEVIATION = 1.4826
OUTLIERS = 1


class Week(msgspec.Struct, frozen=True):
    """`value` None: nothing to measure."""

    monday: date
    value: float | None


class Shift(msgspec.Struct, frozen=True, kw_only=True):
    """Since `since` the level is another; `strength` in robust deviations."""

    since: date
    before: float
    after: float
    strength: float

    @property
    def direction(self) -> str:
        return "up" if self.after > self.before else "down"


def shift(weeks: Sequence[Week]) -> Shift | None:
    """At the end of the series, in order; None where it goes on as it was, or is too short to say."""
    known = [(week.monday, week.value) for week in weeks if week.value]
    if len(known) < BASE_MIN + RECENT:
        return None
    recent, base = known[-RECENT:], known[-RECENT - BASE : -RECENT]
    after, before = [math.log(value) for _, value in recent], [math.log(value) for _, value in base]
    centre = median(before)
    deviation = max(MAD_TO_DEVIATION * median(abs(value - centre) for value in before), DEVIATION_MIN)
    moved = median(after) - centre
    if abs(moved) < max(DEVIATIONS * deviation, math.log(RATIO_MIN)) or not _apart(before, after, moved):
        return None
    return Shift(
        since=recent[0][0],
        before=math.exp(centre),
        after=math.exp(median(after)),
        strength=abs(moved) / deviation,
    )


def shifts(weeks: Sequence[Week]) -> list[Shift]:
    """Each once, as it would have been told week by week."""
    found: list[Shift] = []
    begin = 0
    for end in range(1, len(weeks) + 1):
        if (told := shift(weeks[begin:end])) is not None:
            found.append(told)
            begin = next(index for index, week in enumerate(weeks) if week.monday == told.since)
    return found


def _apart(before: Sequence[float], after: Sequence[float], moved: float) -> bool:
    if moved > 0:
        return sum(value >= min(after) for value in before) <= OUTLIERS
    return sum(value <= max(after) for value in before) <= OUTLIERS
