"""Seeded chance: moments, shas and choices that depend on the seed alone."""

import math
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypeVar

T = TypeVar("T")

WORKDAY_HOURS = range(7, 19)
WORK_MOMENT_TRIES = 40
NO_SHA = "0" * 40


class Chance:
    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)  # noqa: S311  a story needs chance that repeats, not secrets

    def sha(self) -> str:
        return f"{self._random.getrandbits(160):040x}"

    def token(self, length: int, alphabet: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") -> str:
        return "".join(self._random.choice(alphabet) for _ in range(length))

    def one_of(self, items: Sequence[T]) -> T:
        return self._random.choice(items)

    def some_of(self, items: Sequence[T], count: int) -> list[T]:
        return self._random.sample(items, min(count, len(items)))

    def number(self, low: int, high: int) -> int:
        """Whole number, both ends included."""
        return self._random.randint(low, high)

    def happens(self, probability: float) -> bool:
        return self._random.random() < probability

    def fraction(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def minutes(self, low: float, high: float) -> timedelta:
        return timedelta(seconds=round(self._random.uniform(low * 60, high * 60)))

    def long_tailed(self, *, median: timedelta, spread: float, low: timedelta, high: timedelta) -> timedelta:
        """Log-normal, cut at both ends, in whole seconds."""
        drawn = self._random.lognormvariate(math.log(median.total_seconds()), spread)
        return timedelta(seconds=round(min(max(drawn, low.total_seconds()), high.total_seconds())))

    def moment(self, low: datetime, high: datetime) -> datetime:
        """A whole second in [low, high], on a weekday in working hours where the span has one."""
        span_s = int((high - low).total_seconds())
        moment = low
        for _ in range(WORK_MOMENT_TRIES):
            moment = low + timedelta(seconds=self._random.randint(0, span_s))
            if moment.weekday() < 5 and moment.hour in WORKDAY_HOURS:
                return moment
        return moment
