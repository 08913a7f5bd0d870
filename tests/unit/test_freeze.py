"""Freeze windows on the clocks of their zones, through both changes of the hour."""

from datetime import UTC, datetime, time

import pytest

from approvals_svc.freeze import Freeze, Period, Weekly, frozen_until

WEEKEND = Freeze(
    name="weekend",
    zone="Europe/Berlin",
    window=Weekly(start_day=4, start=time(16), end_day=0, end=time(8)),
)
YEAR_END = Freeze(
    name="year-end",
    zone="America/New_York",
    window=Period(start=datetime(2026, 12, 20), end=datetime(2027, 1, 4, 8)),
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-05-01 13:59", None),  # Friday 15:59 in Berlin
        ("2026-05-01 14:00", "2026-05-04 06:00"),
        ("2026-05-03 12:00", "2026-05-04 06:00"),
        ("2026-05-04 05:59", "2026-05-04 06:00"),
        ("2026-05-04 06:00", None),
        ("2026-03-27 14:59", None),  # still winter time on Friday, summer time on Monday
        ("2026-03-27 15:00", "2026-03-30 06:00"),
        ("2026-10-23 14:00", "2026-10-26 07:00"),  # and back
    ],
)
def test_weekly_window_goes_by_the_wall_clock(now: str, end: str | None) -> None:
    assert WEEKEND.end(utc(now)) == (utc(end) if end else None)


def test_period_begins_and_ends_in_its_own_zone() -> None:
    assert YEAR_END.end(utc("2026-12-20 04:59")) is None
    assert YEAR_END.end(utc("2026-12-20 05:00")) == utc("2027-01-04 13:00")
    assert YEAR_END.end(utc("2027-01-04 13:00")) is None


def test_of_two_windows_the_one_that_ends_last_holds() -> None:
    assert frozen_until([WEEKEND, YEAR_END], utc("2026-12-26 12:00")) == ("year-end", utc("2027-01-04 13:00"))
    assert frozen_until([WEEKEND, YEAR_END], utc("2026-12-01 12:00")) is None


def test_window_whose_ends_are_equal_is_the_whole_week() -> None:
    always = Freeze(name="always", zone="UTC", window=Weekly(start_day=2, start=time(9), end_day=2, end=time(9)))

    assert always.end(utc("2026-05-06 08:59")) == utc("2026-05-06 09:00")
    assert always.end(utc("2026-05-06 09:00")) == utc("2026-05-13 09:00")
