"""Hours in which people are left alone, and the morning on which they hear of it, on the clocks of a zone. Pure."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from shared.catalog.calendars import Moments

DAY = timedelta(days=1)
AHEAD_MAX_DAYS = 40  # a longer silence ends there: nobody means never
WEEKDAYS = (0, 1, 2, 3, 4)


class Quiet(msgspec.Struct, frozen=True, kw_only=True):
    """Each day from `start` to `end` (the next day, where that is not later), whole `days` (0 is Monday), whole
    `holidays` and what a calendar lists (`listed`). Equal `start` and `end`: no hours of each day."""

    zone: str = "UTC"
    start: time = time()
    end: time = time()
    days: tuple[int, ...] = ()
    holidays: tuple[date, ...] = ()
    listed: tuple[Moments, ...] = ()


class Morning(msgspec.Struct, frozen=True, kw_only=True):
    """When what could wait is told: at `at`, on `days` (0 is Monday)."""

    zone: str = "UTC"
    at: time = time(9)
    days: tuple[int, ...] = WEEKDAYS


def quiet_until(quiet: Quiet, now: datetime) -> datetime | None:
    """When it ends, where it is quiet now; spans that meet are one."""
    spans = sorted(_spans(quiet, now))
    end = None
    for starts, ends in spans:
        if starts <= (end or now) < ends:
            end = ends
    return end


def next_morning(morning: Morning, now: datetime) -> datetime:
    """The first after `now`."""
    zone = ZoneInfo(morning.zone)
    today = now.astimezone(zone).date()
    days = (today + DAY * ahead for ahead in range(9))
    mornings = (_utc(datetime.combine(day, morning.at), zone) for day in days if day.weekday() in morning.days)
    return next(each for each in mornings if each > now)


def _spans(quiet: Quiet, now: datetime) -> Iterator[tuple[datetime, datetime]]:
    zone = ZoneInfo(quiet.zone)
    today = now.astimezone(zone).date()
    for ahead in range(-1, AHEAD_MAX_DAYS):
        day = today + DAY * ahead
        if quiet.start != quiet.end:
            last = day if quiet.end > quiet.start else day + DAY
            yield _utc(datetime.combine(day, quiet.start), zone), _utc(datetime.combine(last, quiet.end), zone)
        if day.weekday() in quiet.days or day in quiet.holidays:
            yield _utc(datetime.combine(day, time()), zone), _utc(datetime.combine(day + DAY, time()), zone)
    for moments in quiet.listed:
        yield moments.start, moments.end


def _utc(wall: datetime, zone: ZoneInfo) -> datetime:
    """A wall time that a clock change skips is the moment at which the clock would have shown it before the change."""
    return wall.replace(tzinfo=zone).astimezone(UTC)
