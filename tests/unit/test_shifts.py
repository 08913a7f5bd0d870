"""Change points: told when a level moves, and hardly ever when it does not."""

import random
from collections.abc import Callable
from datetime import date, timedelta
from statistics import median

import pytest

from metrics_svc.shifts import Week, shift, shifts

MONDAY = date(2026, 1, 5)
WEEKS_PER_QUARTER = 13
YEARS = 2


def series(values: list[float | None]) -> list[Week]:
    return [Week(MONDAY + timedelta(weeks=number), value) for number, value in enumerate(values)]


def test_a_level_that_doubles_is_told_with_when_and_what() -> None:
    weeks = series([10.0, 11, 9, 10, 10, 12, 9, 10, 11, 10, 20, 22, 19])

    found = shift(weeks)

    assert found is not None
    assert found.since == weeks[10].monday
    assert [found.before, found.after] == pytest.approx([10, 20])
    assert found.direction == "up"
    assert found.strength > 3
    assert shifts(weeks) == [found]


def test_a_level_that_halves_is_told() -> None:
    found = shift(series([10.0, 11, 9, 10, 10, 12, 9, 10, 11, 10, 5, 4, 5]))

    assert found is not None
    assert found.direction == "down"


@pytest.mark.parametrize(
    "values",
    [
        [10.0, 11, 9, 10, 20, 22, 19],  # too short to say
        [10.0, 11, 9, 10, 10, 12, 9, 10, 11, 10, 30, 10, 11],  # one week is none
        [10.0, 11, 9, 10, 10, 12, 9, 10, 11, 10, 13, 13, 13],  # a third more is noise's size
        [10.0, 11, 9, 10, 10, 12, 9, 10, 11, 10, None, None, None],  # nothing to measure is not zero
        [1.0, 40, 3, 90, 2, 30, 5, 70, 1, 50, 60, 70, 80],  # it was always so
    ],
)
def test_what_is_no_shift_is_not_told(values: list[float | None]) -> None:
    assert shifts(series(values)) == []


def medians(chance: random.Random) -> float | None:
    """A heavy-tailed lead time of a week with few changes."""
    n = sum(chance.random() < 0.5 for _ in range(12))
    return median(chance.lognormvariate(10, 1.2) for _ in range(n)) if n else None


def counts(chance: random.Random) -> float | None:
    """Deployments of a week, Poisson with mean 5."""
    limit, number, product = 2.718281828**-5, 0, chance.random()
    while product > limit:
        number, product = number + 1, product * chance.random()
    return float(number) or None


@pytest.mark.parametrize("draw", [medians, counts])
def test_stationary_series_alarm_far_less_than_once_in_a_quarter(
    draw: Callable[[random.Random], float | None], scale: int
) -> None:
    quarters = 52 * YEARS / WEEKS_PER_QUARTER
    alarms = 0
    for seed in range(200 * scale):
        chance = random.Random(seed)
        alarms += len(shifts(series([draw(chance) for _ in range(52 * YEARS)])))

    assert alarms / (200 * scale * quarters) < 0.1


def test_a_doubling_is_mostly_told_within_three_weeks() -> None:
    told = 0
    for seed in range(200):
        chance = random.Random(seed)
        values = [median(chance.lognormvariate(10, 0.8) for _ in range(15)) for _ in range(15)]
        told += shift(series([*values[:12], *(2 * value for value in values[12:])])) is not None

    assert told > 100
