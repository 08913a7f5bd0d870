"""Windows in which nothing is let through, on the clocks of their time zone. Pure."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeAlias
from zoneinfo import ZoneInfo

import msgspec

from shared.catalog.calendars import Moments

WEEK = timedelta(days=7)


class Weekly(msgspec.Struct, frozen=True, kw_only=True, tag="weekly"):
    """From a weekday (0 is Monday) and wall time to another, every week; equal ends are the whole week."""

    start_day: int
    start: time
    end_day: int
    end: time


class Period(msgspec.Struct, frozen=True, kw_only=True, tag="period"):
    """From one wall time to another, once."""

    start: datetime
    end: datetime


class Listed(msgspec.Struct, frozen=True, kw_only=True, tag="listed"):
    """Each of some, as a calendar lists them; they may overlap."""

    moments: tuple[Moments, ...]


Window: TypeAlias = Weekly | Period | Listed


class Freeze(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    zone: str
    window: Window

    def end(self, now: datetime) -> datetime | None:
        """When the window that holds `now` ends; None: it is open."""
        zone = ZoneInfo(self.zone)
        match self.window:
            case Period(start=start, end=end):
                spans = [(start, end)]
            case Listed(moments=moments):
                return max((each.end for each in moments if each.start <= now < each.end), default=None)
            case Weekly() as weekly:
                monday = (local := now.astimezone(zone).date()) - timedelta(days=local.weekday())
                spans = [_span(weekly, monday - WEEK), _span(weekly, monday)]
        for start, end in spans:
            # Compared in UTC: between two times of one zone Python compares what the wall shows.
            if _utc(start, zone) <= now < (ends := _utc(end, zone)):
                return ends
        return None


def frozen_until(freezes: Iterable[Freeze], now: datetime) -> tuple[str, datetime] | None:
    """The window that ends last of those that hold `now`."""
    ends = [(freeze.name, end) for freeze in freezes if (end := freeze.end(now))]
    return max(ends, key=lambda found: found[1], default=None)


def _span(weekly: Weekly, monday: date) -> tuple[datetime, datetime]:
    start = datetime.combine(monday + timedelta(days=weekly.start_day), weekly.start)
    end = datetime.combine(monday + timedelta(days=weekly.end_day), weekly.end)
    return start, end if end > start else end + WEEK


def _utc(wall: datetime, zone: ZoneInfo) -> datetime:
    return wall.replace(tzinfo=zone).astimezone(UTC)
