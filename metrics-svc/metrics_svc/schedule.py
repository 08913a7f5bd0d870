"""When a list is due: days of the week and a time, in a zone. Pure: the clock is an argument."""

import re
from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
NEVER = "never"  # an empty variable is one that is not set
# Who starts later than that says nothing any more on that day.
LATE_MAX = timedelta(hours=2)
_SCHEDULE = re.compile(r"(?P<days>[a-z,-]+) (?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d)", re.ASCII)


class Schedule(NamedTuple):
    """`days`: of the week, Monday is 0."""

    days: frozenset[int]
    at: time

    def due(self, now: datetime, zone: ZoneInfo) -> date | None:
        """The local day that is due now. A time that a change of clocks leaves out is due after it."""
        local = now.astimezone(zone)
        begin = datetime.combine(local.date(), self.at, zone)
        if local.weekday() in self.days and timedelta() <= now - begin.astimezone(now.tzinfo) < LATE_MAX:
            return local.date()
        return None

    def days_since_last(self, day: date) -> int:
        """From the scheduled day before until this one."""
        return next(count for count in range(1, 8) if (day.weekday() - count) % 7 in self.days)


def read_schedule(text: str) -> Schedule | None:
    """`mon-fri 09:00`, `mon,thu 16:30`; None for `never`. Raises ValueError."""
    if text.lower() == NEVER:
        return None
    found = _SCHEDULE.fullmatch(text.lower())
    if found is None:
        raise ValueError("must be days and a time, e.g. `mon-fri 09:00` or `mon,thu 16:30`, or `never`")
    days = frozenset(day for part in found["days"].split(",") for day in _days(part))
    return Schedule(days, time(int(found["hour"]), int(found["minute"])))


def _days(part: str) -> range:
    first, _, last = part.partition("-")
    if first not in DAYS or (last or first) not in DAYS or DAYS.index(last or first) < DAYS.index(first):
        raise ValueError(f"{part} is no day of the week, nor two in their order ({', '.join(DAYS)})")
    return range(DAYS.index(first), DAYS.index(last or first) + 1)
