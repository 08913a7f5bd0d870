"""The arithmetic of the five metrics, and the window that they are asked for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metrics_svc.dora import Change, Deployment, duration, frequency, measure, percentile, ratio
from metrics_svc.window import InvalidParameter, Window, between, last_days, read_days
from metrics_svc.wording import read_arguments, summary

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
    metric = duration([50.0, 10.0, 40.0, 20.0, 30.0])

    assert (metric.value, metric.unit, metric.n, metric.mean) == (30.0, "seconds", 5, 30.0)
    assert (metric.p50, metric.p75, metric.p90, metric.p95) == (30.0, 40.0, 46.0, 48.0)


def test_nothing_to_count_is_null_and_not_zero() -> None:
    assert (duration([]).value, duration([]).mean, ratio(0, 0).value, frequency(0, 7).value) == (None,) * 4


def test_a_share_of_none_that_failed_is_zero() -> None:
    assert (ratio(0, 4).value, ratio(1, 4).value) == (0.0, 0.25)


@pytest.mark.parametrize(
    ("deployments", "expected"),
    [
        ([], (None, None, None, None, None)),
        ([{}], (None, 1 / 7, 0.0, None, 0.0)),
        ([{"lead_times": [60.0, 120.0]}, {"lead_times": [None]}], (90.0, 2 / 7, 0.0, None, 0.0)),
        ([{"failed": True}, {"kind": "rollback"}], (None, 2 / 7, 0.5, None, 0.5)),
        ([{"failed": True, "recovered_h": 3}, {"kind": "hotfix"}], (None, 2 / 7, 0.5, 10_800.0, 0.5)),
        ([{}, {"kind": "redeploy", "lead_times": [60.0]}], (None, 1 / 7, 0.0, None, 0.0)),
        # finished before the window, recovered in it: only the recovery counts
        ([{"day": -1, "failed": True, "recovered_h": 30}], (None, None, None, 108_000.0, None)),
        # finished in the window, recovered after it
        ([{"day": 6, "failed": True, "recovered_h": 48}], (None, 1 / 7, 1.0, None, 0.0)),
        # the window is half-open
        ([{"day": 7}], (None, None, None, None, None)),
        ([{"day": 0}], (None, 1 / 7, 0.0, None, 0.0)),
    ],
)
def test_the_five_metrics_of_some_deployments(deployments: list[Any], expected: tuple[float | None, ...]) -> None:
    measured = measure([deployment(**fields) for fields in deployments], WEEK)

    assert tuple(metric.value for metric in measured.values()) == expected


def deployment(
    *,
    day: float = 1,
    kind: str = "normal",
    failed: bool = False,
    recovered_h: float | None = None,
    lead_times: list[float | None] | None = None,
) -> Deployment:
    finished_at = WEEK.start + timedelta(days=day)
    return Deployment(
        id="github:acme/checkout:1",
        source="github",
        repository="acme/checkout",
        deployment_id="1",
        environment="production",
        sha="a",
        finished_at=finished_at,
        kind=kind,
        seed=False,
        failed=failed,
        failed_because=(),
        recovered_at=None if recovered_h is None else finished_at + timedelta(hours=recovered_h),
        remediates=None,
        delivery="d",
        changes=[change(lead_time_s) for lead_time_s in lead_times or ()],
    )


def change(lead_time_s: float | None) -> Change:
    return Change(
        id="github:acme/checkout:1",
        repository="acme/checkout",
        number=1,
        title="One",
        merged_at=WEEK.start,
        first_commit_at=None,
        lead_time_s=lead_time_s,
        method="branch_position",
        confidence=0.9,
        delivery="d",
    )


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


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ("", 30)),
        (["7"], ("", 7)),
        (["checkout"], ("checkout", 30)),
        (["checkout", "90"], ("checkout", 90)),
    ],
)
def test_a_command_may_name_a_service_and_days(words: list[str], expected: tuple[str, int]) -> None:
    assert read_arguments(words) == expected


def test_a_command_with_too_many_words_is_told_how_it_goes() -> None:
    with pytest.raises(InvalidParameter, match=r"/em dora \[service\] \[days\]"):
        read_arguments(["checkout", "7", "please"])


def test_a_summary_of_many_services_is_cut_and_says_so() -> None:
    names = [f"service-{number:02}" for number in range(35)]
    window = last_days(30, NOW)

    lines = summary([measure([], window) for _ in names], names, 30).splitlines()

    assert (len(lines), lines[-1]) == (32, "and 5 more: name one")
    assert lines[1] == "*service-00*: no production deployment"
