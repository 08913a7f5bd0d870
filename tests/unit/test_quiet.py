"""Quiet hours and mornings on the clocks of their zone, also where a day has 23 or 25 hours."""

from datetime import UTC, date, datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.quiet import Morning, Quiet, next_morning, quiet_until
from shared.catalog.calendars import Moments

NIGHT = Quiet(zone="Europe/Berlin", start=time(19), end=time(8))
NIGHT_AND_WEEKEND = Quiet(zone="Europe/Berlin", start=time(19), end=time(8), days=(5, 6))
NOON = Quiet(zone="UTC", start=time(12), end=time(13))
HOLIDAY = Quiet(zone="America/New_York", holidays=(date(2026, 12, 25),))
LISTED = Quiet(listed=(Moments(start=datetime(2026, 5, 1, tzinfo=UTC), end=datetime(2026, 5, 3, tzinfo=UTC)),))
NEW_YORK = Quiet(zone="America/New_York", start=time(22), end=time(7))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("quiet", "now", "until"),
    [
        (NIGHT, "2026-06-10 16:59", None),
        (NIGHT, "2026-06-10 17:00", "2026-06-11 06:00"),
        (NIGHT, "2026-06-11 05:59", "2026-06-11 06:00"),
        (NIGHT, "2026-06-11 06:00", None),
        (NIGHT, "2026-01-10 18:30", "2026-01-11 07:00"),
        (NIGHT, "2026-03-28 20:00", "2026-03-29 06:00"),  # the night has 12 hours
        (NIGHT, "2026-10-24 20:00", "2026-10-25 07:00"),  # and 14
        (NIGHT_AND_WEEKEND, "2026-06-12 18:00", "2026-06-15 06:00"),  # Friday evening to Monday morning
        (NIGHT_AND_WEEKEND, "2026-06-13 12:00", "2026-06-15 06:00"),
        (NOON, "2026-06-10 12:30", "2026-06-10 13:00"),
        (NOON, "2026-06-10 13:00", None),
        (HOLIDAY, "2026-12-25 04:59", None),
        (HOLIDAY, "2026-12-25 05:00", "2026-12-26 05:00"),
        (LISTED, "2026-05-02 10:00", "2026-05-03 00:00"),
        (NEW_YORK, "2026-03-08 05:00", "2026-03-08 11:00"),  # clocks go forward at 2
        (NEW_YORK, "2026-11-01 05:00", "2026-11-01 12:00"),  # and back
        (Quiet(), "2026-06-10 12:30", None),
    ],
)
def test_when_it_is_quiet_and_until_when(quiet: Quiet, now: str, until: str | None) -> None:
    assert quiet_until(quiet, utc(now)) == (utc(until) if until else None)


@pytest.mark.parametrize(
    ("morning", "now", "next_one"),
    [
        (Morning(), "2026-06-10 08:59", "2026-06-10 09:00"),
        (Morning(), "2026-06-10 09:00", "2026-06-11 09:00"),
        (Morning(), "2026-06-12 09:00", "2026-06-15 09:00"),
        (Morning(zone="Europe/Berlin"), "2026-03-27 09:00", "2026-03-30 07:00"),
        (Morning(zone="Europe/Berlin", days=(6,)), "2026-03-28 09:00", "2026-03-29 07:00"),
        (Morning(zone="Asia/Tokyo", at=time(8, 30)), "2026-06-10 00:00", "2026-06-10 23:30"),
    ],
)
def test_next_morning(morning: Morning, now: str, next_one: str) -> None:
    assert next_morning(morning, utc(now)) == utc(next_one)


@given(
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]),
    start=st.times(),
    end=st.times(),
    days=st.sets(st.integers(0, 6), max_size=6),
)
def test_quiet_ends_where_it_is_quiet_no_more(now: datetime, zone: str, start: time, end: time, days: set[int]) -> None:
    quiet = Quiet(zone=zone, start=start.replace(fold=0), end=end.replace(fold=0), days=tuple(sorted(days)))
    until = quiet_until(quiet, now)

    assert until is None or until > now
    assert until is None or quiet_until(quiet, until) is None
