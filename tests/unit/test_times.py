"""The spellings of times."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalizer.times import InvalidTime, Spelling, instant

NOON = datetime(2026, 2, 28, 12, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "spelling",
    [
        "2026-02-28T12:00:05Z",
        "2026-02-28T12:00:05+00:00",
        "2026-02-28T14:00:05+0200",
        "2026-02-28 12:00:05 UTC",
        "2026-02-28 14:00:05 +0200",
        "2026-02-28 12:00:05",
        "2026-02-28T12:00:05.0Z",
        "2026-02-28T12:00:05.0000000Z",
        "2026-02-28T12:00:05.000000000Z",
        1772280005,
        "1772280005",
        1772280005000,
        "1772280005000",
        1772280005000000000,
    ],
)
def test_every_spelling_tells_the_same_instant(spelling: Spelling) -> None:
    assert instant(spelling) == NOON


@pytest.mark.parametrize("spelling", ["2026-02-28T12:00:05.123456789Z", "1772280005.123456", 1772280005123456789])
def test_fractions_are_exact_to_the_microsecond(spelling: Spelling) -> None:
    assert instant(spelling) == NOON + timedelta(microseconds=123456)


def test_the_zone_of_the_writer_is_kept() -> None:
    told = instant("2026-02-28T17:30:05+05:30")

    assert told == NOON
    assert told.utcoffset() == timedelta(hours=5, minutes=30)


def test_a_day_is_its_midnight() -> None:
    assert instant("2026-02-28") == NOON.replace(hour=0, second=0)


def test_a_time_without_seconds_is_that_minute() -> None:
    assert instant("2026-02-28T12:00Z") == NOON.replace(second=0)


@pytest.mark.parametrize("spelling", [None, "", 0, "0", 0.0, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00"])
def test_these_mean_that_there_is_no_time(spelling: Spelling) -> None:
    assert instant(spelling) is None


@pytest.mark.parametrize(
    "spelling",
    [
        "yesterday",
        "2026-02-30T12:00:05Z",
        "2026-02-28T12:00:05Z; DROP",
        "2026-02-28T12:00:05+99:00",
        "٢٠٢٦-02-28T12:00:05Z",
        "9999-12-31T23:59:59-10:00",
        float("nan"),
        float("inf"),
        -1,
        10**24,
        "1e9",
    ],
)
def test_what_is_no_time_is_invalid(spelling: Spelling) -> None:
    with pytest.raises(InvalidTime):
        instant(spelling)


@given(st.one_of(st.text(), st.integers(), st.floats(), st.datetimes().map(str)))
def test_nothing_else_than_invalid_is_raised(spelling: Spelling) -> None:
    try:
        told = instant(spelling)
    except InvalidTime:
        return
    assert told is None or told.astimezone(UTC).tzinfo is UTC
