"""When lists are due: days, times, zones, and what clocks do twice a year."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from metrics_svc.schedule import Schedule, read_schedule
from metrics_svc.settings import Settings

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("never", None),
        ("mon 09:00", Schedule(frozenset({0}), time(9))),
        ("mon-fri 09:30", Schedule(frozenset({0, 1, 2, 3, 4}), time(9, 30))),
        ("Mon,thu-sat 23:59", Schedule(frozenset({0, 3, 4, 5}), time(23, 59))),
    ],
)
def test_a_schedule_is_days_and_a_time(text: str, expected: Schedule | None) -> None:
    assert read_schedule(text) == expected


WRONG = ["09:00", "mon", "mon 24:00", "mon 9:00", "fri-mon 09:00", "noday 09:00", "mon- 09:00 x"]


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_schedule_stops_the_service_and_names_the_variable(text: str) -> None:
    with pytest.raises(ValueError, match="standup_at"):
        Settings(standup_at=text)


@pytest.mark.parametrize(
    ("text", "zone", "now", "day"),
    [
        ("mon-fri 09:00", UTC, datetime(2026, 3, 2, 8, 59, 59, tzinfo=UTC), None),
        ("mon-fri 09:00", UTC, datetime(2026, 3, 2, 9, tzinfo=UTC), date(2026, 3, 2)),
        ("mon-fri 09:00", UTC, datetime(2026, 3, 2, 10, 59, tzinfo=UTC), date(2026, 3, 2)),
        ("mon-fri 09:00", UTC, datetime(2026, 3, 2, 11, tzinfo=UTC), None),  # too late
        ("mon-fri 09:00", UTC, datetime(2026, 3, 1, 9, tzinfo=UTC), None),  # a Sunday
        ("mon 09:00", BERLIN, datetime(2026, 3, 2, 8, tzinfo=UTC), date(2026, 3, 2)),
        ("mon 09:00", BERLIN, datetime(2026, 6, 1, 7, tzinfo=UTC), date(2026, 6, 1)),
        ("mon 20:00", NEW_YORK, datetime(2026, 3, 3, 1, tzinfo=UTC), date(2026, 3, 2)),  # Tuesday in UTC
        ("sun 02:30", BERLIN, datetime(2026, 3, 29, 0, 59, tzinfo=UTC), None),
        ("sun 02:30", BERLIN, datetime(2026, 3, 29, 1, 30, tzinfo=UTC), date(2026, 3, 29)),  # 02:30 is left out
        ("sun 02:30", BERLIN, datetime(2026, 10, 25, 0, 30, tzinfo=UTC), date(2026, 10, 25)),  # and here comes twice
        ("sun 02:30", BERLIN, datetime(2026, 10, 25, 1, 30, tzinfo=UTC), date(2026, 10, 25)),  # the same day: told once
        ("sun 23:30", BERLIN, datetime(2026, 3, 1, 23, 10, tzinfo=UTC), None),  # after midnight it is another day
    ],
)
def test_due_by_the_clock_on_the_wall(text: str, zone: ZoneInfo, now: datetime, day: date | None) -> None:
    schedule = read_schedule(text)

    assert schedule is not None
    assert schedule.due(now, zone) == day


@pytest.mark.parametrize(
    ("text", "day", "days"),
    [
        ("mon-fri 09:00", date(2026, 3, 3), 1),
        ("mon-fri 09:00", date(2026, 3, 2), 3),
        ("mon 09:00", date(2026, 3, 2), 7),
    ],
)
def test_a_standup_reaches_back_to_the_one_before(text: str, day: date, days: int) -> None:
    schedule = read_schedule(text)

    assert schedule is not None
    assert schedule.days_since_last(day) == days


@pytest.mark.parametrize("offset_h", range(-11, 13))
def test_each_scheduled_day_of_a_year_is_due_wherever_one_is(offset_h: int) -> None:
    zone = ZoneInfo(f"Etc/GMT{offset_h:+d}")
    schedule, start = Schedule(frozenset(range(7)), time(9)), datetime(2026, 1, 1, tzinfo=UTC)

    due = {schedule.due(start + timedelta(minutes=30) * step, zone) for step in range(365 * 48)}

    assert len(due - {None}) in (365, 366)
