"""The arithmetic of the five metrics, and the window that they are asked for."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from metrics_svc import bands
from metrics_svc.dora import METRICS, Metric, Samples, duration, frequency, measure, percentile, ratio
from metrics_svc.window import InvalidParameter, Window, between, last_days, read_days
from metrics_svc.wording import summary

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
WEEK = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 8, tzinfo=UTC))


@pytest.mark.parametrize(
    ("ordered", "share", "expected"),
    [
        ([], 0.5, None),
        ([7.0], 0.95, 7.0),
        ([1.0, 2.0], 0.5, 1.5),
        ([1.0, 2.0, 3.0], 0.5, 2.0),
        ([1.0, 2.0, 3.0, 4.0], 0.5, 2.5),
        ([1.0, 2.0, 3.0, 4.0], 0.75, 3.25),
        ([10.0, 20.0, 30.0, 40.0, 50.0], 0.9, 46.0),
        ([10.0, 20.0, 30.0, 40.0, 50.0], 0.95, 48.0),
        ([1.0, 9.0], 0.0, 1.0),
        ([1.0, 9.0], 1.0, 9.0),
    ],
)
def test_percentiles_are_linear_between_the_closest_ranks(
    ordered: list[float], share: float, expected: float | None
) -> None:
    assert percentile(ordered, share) == (None if expected is None else pytest.approx(expected))


def test_a_duration_is_the_median_with_the_spread_beside_it() -> None:
    metric = duration([10.0, 20.0, 30.0, 40.0, 50.0])

    assert (metric.value, metric.unit, metric.n, metric.mean) == (30.0, "seconds", 5, 30.0)
    assert (metric.p50, metric.p75, metric.p90, metric.p95) == (30.0, 40.0, 46.0, 48.0)


def test_nothing_to_count_is_null_and_not_zero() -> None:
    assert (duration([]).value, duration([]).mean, ratio(0, 0).value, frequency(0, 7).value) == (None,) * 4


def test_a_share_of_none_that_failed_is_zero() -> None:
    assert (ratio(0, 4).value, ratio(1, 4).value) == (0.0, 0.25)


DAY_S = 86_400.0
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (Samples(), (None, None, None, None, None)),
        (Samples(finished_at=[WEEK.start.timestamp()]), (None, 1 / 7, 0.0, None, 0.0)),
        (Samples(finished_at=[1.0, 2.0], lead_times=[60.0, 120.0]), (90.0, 2 / 7, 0.0, None, 0.0)),
        (Samples(finished_at=[1.0, 2.0], failed=1, rework=1), (None, 2 / 7, 0.5, None, 0.5)),
        # failed before the window, recovered in it: only the recovery counts
        (Samples(recovery_times=[108_000.0]), (None, None, None, 108_000.0, None)),
    ],
)
def test_the_five_metrics_of_some_samples(samples: Samples, expected: tuple[float | None, ...]) -> None:
    measured = measure(samples, WEEK)

    assert tuple(measured[name].value for name in METRICS) == expected


def test_what_stands_beside_the_five_metrics() -> None:
    finished = [(MONDAY + timedelta(days=day)).timestamp() for day in (0, 0.25, 1, 8)]
    samples = Samples(finished_at=finished, commit_lead_times=[60.0, 180.0], incident_times=[3600.0])

    measured = measure(samples, Window(MONDAY, MONDAY + timedelta(days=21)))

    assert measured["commit_lead_time"].value == 120.0
    assert measured["deployment_days"].value == 1.0  # two days, one, none
    assert (measured["time_between_deployments"].value, measured["time_between_deployments"].n) == (0.75 * DAY_S, 3)
    assert measured["incident_recovery_time"].value == 3600.0


def test_only_whole_weeks_have_deployment_days() -> None:
    sunday = Window(MONDAY - timedelta(days=1), MONDAY + timedelta(days=3))

    measured = measure(Samples(finished_at=[MONDAY.timestamp()]), sunday)

    assert (measured["deployment_days"].value, measured["deployment_days"].n) == (None, 1)


def test_a_local_week_over_the_change_to_summer_time_is_whole() -> None:
    zone = ZoneInfo("Europe/Berlin")
    week = Window(datetime(2026, 3, 23, tzinfo=zone), datetime(2026, 3, 30, tzinfo=zone))  # 167 hours

    measured = measure(Samples(finished_at=[(week.end - timedelta(minutes=1)).timestamp()]), week, zone)

    assert measured["deployment_days"].value == 1.0


def test_intervals_hold_the_value_and_narrow_with_more() -> None:
    few, many = ratio(2, 10), ratio(200, 1000)
    assert few.low is not None and few.high is not None and many.low is not None and many.high is not None
    assert few.low < many.low < 0.2 < many.high < few.high
    assert [few.low, few.high] == pytest.approx([0.0686, 0.4592], abs=1e-4)
    spread = duration([float(number) for number in range(1, 101)])
    assert (spread.low, spread.value, spread.high) == (42.0, 50.5, 59.0)
    assert duration([1.0, 2.0]).low is None


@pytest.mark.parametrize(
    ("metric", "value", "n", "year", "expected"),
    [
        ("change_lead_time", 3600.0, 5, 2023, "elite"),
        ("change_lead_time", 86_400.0, 5, 2023, "high"),
        ("change_lead_time", 86_400.0 * 31, 5, 2023, "low"),
        ("change_lead_time", 3600.0, 4, 2023, None),
        ("change_lead_time", 3600.0, 5, 2021, "high"),
        ("deployment_frequency", 1.0, 30, 2023, "elite"),
        ("deployment_frequency", 0.01, 30, 2023, "low"),
        ("change_fail_rate", 0.10, 10, 2023, "high"),
        ("change_fail_rate", 0.10, 10, 2021, "elite"),
        ("deployment_rework_rate", 0.10, 10, 2023, None),
    ],
)
def test_bands_go_by_their_year_and_not_by_few(
    metric: str, value: float, n: int, year: int, expected: str | None
) -> None:
    found = bands.band(metric, Metric(value=value, unit="", n=n), year)

    assert (found.name if found else None) == expected
    assert found is None or found.year == year


def test_the_score_of_2025_is_the_mean_of_what_is_known() -> None:
    frequent = {"deployment_frequency": Metric(value=2.0, unit="per_day", n=60)}
    failing = frequent | {"change_fail_rate": Metric(value=0.25, unit="ratio", n=60)}

    assert bands.score_2025(frequent) == 10.0
    assert bands.score_2025(failing) == 8.75
    assert bands.score_2025({"deployment_frequency": Metric(value=2.0, unit="per_day", n=4)}) is None


# ---- windows -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (None, None, (NOW - timedelta(days=30), NOW)),
        ("2026-03-01", "2026-03-08", (WEEK.start, WEEK.end)),
        ("2026-03-01T01:00:00+01:00", "2026-03-08T00:00:00Z", (WEEK.start, WEEK.end)),
        ("2026-03-01T00:00", None, (WEEK.start, NOW)),
        (None, "2026-03-31", (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 31, tzinfo=UTC))),
    ],
)
def test_windows_are_in_utc_and_end_now_unless_said_otherwise(
    start: str | None, end: str | None, expected: tuple[datetime, datetime]
) -> None:
    window = between(start, end, NOW)

    assert (window.start, window.end) == expected


@pytest.mark.parametrize(
    ("start", "end", "named"),
    [
        ("", None, "from"),
        ("1772323200", None, "from"),
        (None, "tomorrow", "to"),
        ("2026-03-08", "2026-03-01", "from"),
        ("2026-03-01", "2026-03-01", "from"),
        ("1999-01-01", None, "from"),
        ("0001-01-01T00:00+14:00", None, "from"),
        (None, "0001-01-02", "to"),
    ],
)
def test_a_window_that_can_not_be_meant_is_refused_by_the_name_of_its_parameter(
    start: str | None, end: str | None, named: str
) -> None:
    with pytest.raises(InvalidParameter) as refused:
        between(start, end, NOW)

    assert refused.value.name == named
    assert str(refused.value).startswith(f"{named}: ")


@pytest.mark.parametrize("days", ["0", "-1", "3661", "1.5", "", "²", "99999999999999999999"])
def test_days_that_are_no_number_of_days_are_refused(days: str) -> None:
    with pytest.raises(InvalidParameter):
        read_days(days)


# ---- the command's words -----------------------------------------------------------------------------------------


def test_a_summary_of_many_services_is_cut_and_says_so() -> None:
    names = [f"service-{number:02}" for number in range(35)]
    window = last_days(30, NOW)

    lines = summary([measure(Samples(), window) for _ in names], names, 30).splitlines()

    assert (len(lines), lines[-1]) == (32, "and 5 more: name one")
    assert lines[1] == "*service-00*: no production deployment"
