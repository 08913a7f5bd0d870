"""The definitions of other tools: every number worked out by hand, one case for every way in which a tool differs."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from metrics_svc.definitions import FOREIGN, devlake2023
from metrics_svc.definitions.history import Attempt, Change, History, Incident
from metrics_svc.dora import FAIL_RATE, FREQUENCY, LEAD_TIME, RECOVERY_TIME, Metric
from metrics_svc.window import Window

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


def at(hours: float) -> datetime:
    return MONDAY + timedelta(hours=hours)


def days(first: float, last: float) -> Window:
    return Window(at(24 * first), at(24 * last))


def attempt(id: str, finished: float, **fields: Any) -> Attempt:
    values: dict[str, Any] = {"repository": "a/b", "environment": "production", "outcome": "succeeded", **fields}
    if "started" in values:
        values["started_at"] = at(values.pop("started"))
    return Attempt(id=id, finished_at=at(finished), **values)


def change(number: int, merged: float, **fields: Any) -> Change:
    """Times are hours under the names of their fields without `_at`."""
    told = [name for name, value in fields.items() if isinstance(value, float)]
    moments: dict[str, Any] = {f"{name}_at": at(fields.pop(name)) for name in told}
    values: dict[str, Any] = {"repository": "a/b", "head_ref": f"feature/{number}", "base_ref": "main", **fields}
    return Change(id=f"#{number}", number=number, merged_at=at(merged), **moments, **values)


def incident(id: str, opened: float, resolved: float | None = None) -> Incident:
    return Incident(id=id, opened_at=at(opened), resolved_at=None if resolved is None else at(resolved))


def measured(definition: str, metric: str, window: Window, *happened: Attempt | Change | Incident) -> Metric:
    history = History(
        attempts=[each for each in happened if isinstance(each, Attempt)],
        changes=[each for each in happened if isinstance(each, Change)],
        incidents=[each for each in happened if isinstance(each, Incident)],
    )
    return FOREIGN[definition](history, window)[metric]


Case = tuple[Window, Sequence[Attempt | Change | Incident], float | None, int]

BEFORE = attempt("d0", -1, position=0)


@pytest.mark.parametrize("definition", ["devlake2023", "middleware"])
def test_no_tool_has_a_rework_rate_and_nothing_to_measure_has_no_value(definition: str) -> None:
    metrics = FOREIGN[definition](History(), days(0, 7))

    assert {name: metric.value for name, metric in metrics.items()} == {
        LEAD_TIME: None,
        FREQUENCY: 0,
        FAIL_RATE: None,
        RECOVERY_TIME: None,
    }


# ---- DevLake -----------------------------------------------------------------------------------------------------


def shipped_after(*hours: float) -> list[Attempt | Change | Incident]:
    """Changes merged on Monday morning; each deployed so many hours later."""
    numbered = list(enumerate(hours, start=1))
    return [
        BEFORE,
        *(change(n, 0, position=n) for n, _ in numbered),
        *(attempt(f"d{n}", h, position=n) for n, h in numbered),
    ]


DEVLAKE_LEAD_TIMES: dict[str, Case] = {
    "of two, the lower": (days(0, 7), shipped_after(1, 3), HOUR, 2),
    "of four, the second": (days(0, 7), shipped_after(1, 2, 5, 6), 2 * HOUR, 4),
    "of three, the middle": (days(0, 7), shipped_after(1, 2, 9), 2 * HOUR, 3),
    # coding 60 s is 1 minute, open to merge 61 s is 2, deploy 1 s is 1: 4 minutes of 122 s
    "each stage is rounded up to minutes, and then added": (
        days(0, 7),
        [
            BEFORE,
            change(1, 121 / HOUR, first_commit=0.0, opened=60 / HOUR, position=1),
            attempt("d1", 122 / HOUR, position=1),
        ],
        4 * MINUTE,
        1,
    ),
    "a change that nobody saw opened has its deploy stage only: null is 0": (
        days(0, 7),
        [BEFORE, change(1, 10, first_commit=1.0, position=1), attempt("d1", 12, position=1)],
        2 * HOUR,
        1,
    ),
    # 8 hours from open to merge, 2 to deploy; -1 of coding is null
    "a first commit after the opening is null and not negative": (
        days(0, 7),
        [BEFORE, change(1, 10, first_commit=3.0, opened=2.0, position=1), attempt("d1", 12, position=1)],
        10 * HOUR,
        1,
    ),
    "review is no stage of the cycle": (
        days(0, 7),
        [
            BEFORE,
            change(1, 10, first_commit=1.0, opened=2.0, first_review=5.0, approved=6.0, position=1),
            attempt("d1", 12, position=1),
        ],
        11 * HOUR,
        1,
    ),
    "the first deployment of all carries everything before it": (
        days(0, 7),
        [change(1, -8000, position=1), change(2, 0, position=2), attempt("d1", 1, position=2)],
        HOUR,  # of 1 and 8001 hours the lower
        2,
    ),
    "by the end of the deployment, and not by the merge": (
        days(1, 7),
        [BEFORE, change(1, 20, position=1), attempt("d1", 26, position=1)],
        6 * HOUR,
        1,
    ),
    "merged in the window and deployed after it": (
        days(0, 1),
        [BEFORE, change(1, 20, position=1), attempt("d1", 26, position=1)],
        None,
        0,
    ),
    "not deployed": (days(0, 7), [BEFORE, change(1, 20, position=1)], None, 0),
    "a failed deployment carries nothing": (
        days(0, 7),
        [BEFORE, change(1, 1, position=1), attempt("d1", 2, outcome="failed"), attempt("d2", 4, position=1)],
        3 * HOUR,
        1,
    ),
    # the rollback d2 to 0 makes #1 part of d3's diff as well
    "after a rollback a change stays with what carried it first": (
        days(0, 7),
        [
            BEFORE,
            change(1, 1, position=1),
            attempt("d1", 2, position=1),
            attempt("d2", 3, position=0),
            attempt("d3", 9, position=1),
        ],
        HOUR,
        1,
    ),
    # in both diffs: the west began first and finished last
    "of two environments, the deployment that started first": (
        days(0, 7),
        [
            attempt("w0", -2, environment="prod-west", position=0),
            attempt("e0", -1, environment="prod-east", position=0),
            change(1, 1, position=1),
            attempt("w1", 5, environment="prod-west", started=2, position=1),
            attempt("e1", 4, environment="prod-east", started=3, position=1),
        ],
        4 * HOUR,
        1,
    ),
    "a commit that nobody pushed has no diff": (
        days(0, 7),
        [BEFORE, change(1, 1), change(2, 1, position=1), attempt("d1", 2), attempt("d2", 4, position=1)],
        3 * HOUR,
        1,
    ),
    "another repository has a graph of its own": (
        days(0, 7),
        [BEFORE, change(1, 1, position=1), attempt("d1", 2, repository="a/c", position=1)],
        None,
        0,
    ),
}


@pytest.mark.parametrize("case", DEVLAKE_LEAD_TIMES.values(), ids=DEVLAKE_LEAD_TIMES.keys())
def test_devlake_lead_time(case: Case) -> None:
    window, happened, value, n = case

    assert measured("devlake2023", LEAD_TIME, window, *happened) == Metric(value=value, unit="seconds", n=n)


DEVLAKE_FAIL_RATES: dict[str, Case] = {
    "however many incidents, a deployment failed once": (
        days(0, 7),
        [attempt("d1", 1), attempt("d2", 2), incident("i1", 3), incident("i2", 4)],
        1 / 2,
        2,
    ),
    "runs that failed are in neither part": (
        days(0, 7),
        [attempt("d1", 1), attempt("d2", 2, outcome="failed"), incident("i1", 3)],
        1.0,
        1,
    ),
    "a deployment is blamed for what came months later": (
        days(0, 7),
        [attempt("d1", 1), attempt("d2", 2), incident("i1", 2000)],
        1 / 2,
        2,
    ),
    "until the next one, also when that is after the window": (
        days(0, 7),
        [attempt("d1", 1), attempt("d2", 200), incident("i1", 2000)],
        0.0,
        1,
    ),
    "in whatever repository": (
        days(0, 7),
        [attempt("d1", 1), attempt("d2", 2, repository="a/c"), incident("i1", 3)],
        1 / 2,
        2,
    ),
    "one that ended at the very instant was before": (
        days(0, 7),
        [attempt("d0", -1), attempt("d1", 1), incident("i1", 1)],
        1.0,
        1,
    ),
    "an incident before all deployments is nobody's": (days(0, 7), [attempt("d1", 1), incident("i1", 0.5)], 0.0, 1),
    "a redeploy counts": (
        days(0, 7),
        [attempt("d1", 1, position=1), attempt("d2", 2, position=1), incident("i1", 1.5)],
        1 / 2,
        2,
    ),
}


@pytest.mark.parametrize("case", DEVLAKE_FAIL_RATES.values(), ids=DEVLAKE_FAIL_RATES.keys())
def test_devlake_change_fail_rate(case: Case) -> None:
    window, happened, value, n = case

    assert measured("devlake2023", FAIL_RATE, window, *happened) == Metric(value=value, unit="ratio", n=n)


DEVLAKE_RECOVERIES: dict[str, Case] = {
    # 4, 5 and 8 hours since the deployment: not 1, 1 and 1 since the incidents were opened
    "from the end of the deployment, one for every incident": (
        days(0, 7),
        [attempt("d1", 1), incident("i1", 4, 5), incident("i2", 5, 6), incident("i3", 8, 9)],
        5 * HOUR,
        3,
    ),
    "of two, the lower": (
        days(0, 7),
        [attempt("d1", 1), incident("i1", 4, 5), incident("i2", 5, 9)],
        4 * HOUR,
        2,
    ),
    "not when the deployment was before the window": (
        days(1, 7),
        [attempt("d1", 1), attempt("d2", 40), incident("i1", 4, 30)],
        None,
        0,
    ),
    "not when it was resolved after the window, or never": (
        days(0, 1),
        [attempt("d1", 1), incident("i1", 4, 30), incident("i2", 5)],
        None,
        0,
    ),
    "a later deployment recovers nothing": (
        days(0, 7),
        [attempt("d1", 1), attempt("d2", 6), incident("i1", 4, 10)],
        9 * HOUR,
        1,
    ),
}


@pytest.mark.parametrize("case", DEVLAKE_RECOVERIES.values(), ids=DEVLAKE_RECOVERIES.keys())
def test_devlake_recovery_time(case: Case) -> None:
    window, happened, value, n = case

    assert measured("devlake2023", RECOVERY_TIME, window, *happened) == Metric(value=value, unit="seconds", n=n)


def on_days(*numbers: int) -> list[Attempt]:
    return [attempt(f"d{index}", 24 * day + 1) for index, day in enumerate(numbers)]


@pytest.mark.parametrize(
    ("window", "deployments", "value", "unit", "band"),
    [
        # days, however often on each
        (days(0, 7), on_days(0, 0, 0, 1), 2, "deployment_days_per_week", "high"),
        (days(0, 7), on_days(0, 1, 2, 3, 4), 5, "deployment_days_per_week", "elite"),
        # weeks of 1 and 3 days: the lower; an empty week counts as 0
        (days(0, 14), on_days(0, 7, 8, 9), 1, "deployment_days_per_week", "high"),
        # weeks of 0 and 3 days: less than one per week, so per month; all of it is one March
        (days(0, 14), on_days(7, 8, 9), 3, "deployment_days_per_month", "medium"),
        # Thursday to Wednesday is two weeks, of 1 day and of 0
        (days(3, 10), on_days(3), 1, "deployment_days_per_month", "medium"),
        # March has 1, April 0
        (days(0, 59), on_days(3), 0, "deployment_days_per_month", "low"),
        (days(0, 7), [attempt("d1", 1, outcome="failed")], 0, "deployment_days_per_month", "low"),
        # the window is half-open
        (days(0, 7), on_days(7), 0, "deployment_days_per_month", "low"),
    ],
)
def test_devlake_frequency_is_the_median_of_days_with_a_deployment(
    window: Window, deployments: list[Attempt], value: float, unit: str, band: str
) -> None:
    metric = measured("devlake2023", FREQUENCY, window, *deployments)

    assert (metric.value, metric.unit) == (value, unit)
    assert devlake2023.bands({FREQUENCY: metric}) == {FREQUENCY: band}


@pytest.mark.parametrize(
    ("name", "unit", "values"),
    [
        (LEAD_TIME, "seconds", [(DAY - 1, "elite"), (DAY, "high"), (7 * DAY, "medium"), (30 * DAY, "low")]),
        (RECOVERY_TIME, "seconds", [(HOUR - 1, "elite"), (HOUR, "high"), (DAY, "medium"), (7 * DAY, "low")]),
        (FAIL_RATE, "ratio", [(0.05, "elite"), (0.1, "high"), (0.15, "medium"), (0.16, "low")]),
    ],
)
def test_devlake_bands_of_2023(name: str, unit: str, values: list[tuple[float, str]]) -> None:
    for value, band in values:
        assert devlake2023.bands({name: Metric(value=value, unit=unit, n=1)}) == {name: band}
    assert devlake2023.bands({name: Metric(value=None, unit=unit, n=0)}) == {}


# ---- middleware --------------------------------------------------------------------------------------------------

MIDDLEWARE_LEAD_TIMES: dict[str, Case] = {
    # 2, 2 and 14 hours: the mean is 6, the median 2
    "the mean": (
        days(0, 7),
        [change(1, 0), change(2, 4), change(3, 10), attempt("d1", 2), attempt("d2", 6), attempt("d3", 24)],
        6 * HOUR,
        3,
    ),
    # 4 hours and 0
    "a change that was not deployed counts, with 0 for it": (
        days(0, 7),
        [change(1, 0), attempt("d1", 4), change(2, 10)],
        2 * HOUR,
        2,
    ),
    # 1 to open, 2 to the review, 3 to the approval, 4 to the merge, 5 to the run
    "the sum of its five stages": (
        days(0, 7),
        [change(1, 10, first_commit=0.0, opened=1.0, first_review=3.0, approved=6.0), attempt("d1", 15)],
        15 * HOUR,
        1,
    ),
    # the 9 hours from open to merge are nowhere
    "without a review there is nothing between open and merge": (
        days(0, 7),
        [change(1, 10, first_commit=0.0, opened=1.0), attempt("d1", 15)],
        6 * HOUR,
        1,
    ),
    "a first commit after the opening is 0 and not negative": (
        days(0, 7),
        [change(1, 10, first_commit=2.0, opened=1.0), attempt("d1", 15)],
        5 * HOUR,
        1,
    ),
    "by the merge, and not by the deployment": (
        days(0, 1),
        [change(1, -1), change(2, 20), attempt("d1", 26)],
        6 * HOUR,
        1,
    ),
    "deployed by the first run after the merge, whatever sha that was of": (
        days(0, 7),
        [change(1, 0, position=9), attempt("d1", 2, position=1), attempt("d2", 6, position=9)],
        2 * HOUR,
        1,
    ),
    "a run that began before the merge is not after it": (
        days(0, 7),
        [change(1, 1), attempt("d1", 2, started=0.5), attempt("d2", 6, started=4)],
        3 * HOUR,
        1,
    ),
    "a run that failed deployed nothing": (
        days(0, 7),
        [change(1, 0), attempt("d1", 2, outcome="failed"), attempt("d2", 6)],
        6 * HOUR,
        1,
    ),
    "a run of another branch deployed nothing": (
        days(0, 7),
        [change(1, 0), attempt("d1", 2, branch="release"), attempt("d2", 6, branch="main")],
        6 * HOUR,
        1,
    ),
    # #1 and the promotion #3 are deployed at 9: 9 hours and 1; #2 missed the promotion
    "a branch is deployed by being merged into one that is": (
        days(0, 7),
        [
            change(1, 0, base_ref="develop"),
            attempt("d1", 2, branch="main"),
            change(3, 8, head_ref="develop"),
            change(2, 8.5, base_ref="develop"),
            attempt("d2", 9, branch="main"),
        ],
        10 * HOUR / 3,
        3,
    ),
    "through as many branches as it takes": (
        days(0, 0.1),
        [
            change(1, 0, base_ref="develop"),
            change(2, 3, head_ref="develop", base_ref="staging"),
            change(3, 5, head_ref="staging"),
            attempt("d1", 4, branch="main"),
            attempt("d2", 7, branch="main"),
        ],
        7 * HOUR,
        1,
    ),
    "another repository's runs deployed nothing": (
        days(0, 7),
        [change(1, 0), attempt("d1", 2, repository="a/c")],
        0.0,
        1,
    ),
}


@pytest.mark.parametrize("case", MIDDLEWARE_LEAD_TIMES.values(), ids=MIDDLEWARE_LEAD_TIMES.keys())
def test_middleware_lead_time(case: Case) -> None:
    window, happened, value, n = case

    metric = measured("middleware", LEAD_TIME, window, *happened)

    assert metric.value == (None if value is None else pytest.approx(value))
    assert (metric.unit, metric.n) == ("seconds", n)


MIDDLEWARE_FAIL_RATES: dict[str, Case] = {
    "failed runs are in the denominator": (
        days(0, 7),
        [attempt("d1", 1), attempt("d2", 5, outcome="failed"), attempt("d3", 9), incident("i1", 10)],
        1 / 3,
        3,
    ),
    "and in the numerator": (
        days(0, 7),
        [attempt("d1", 1), attempt("d2", 5, outcome="failed"), incident("i1", 2), incident("i2", 6)],
        2 / 2,
        2,
    ),
    "an incident at the very instant is the run's that begins then": (
        days(0, 7),
        [attempt("d1", 1), attempt("d2", 5), incident("i1", 1)],
        1 / 2,
        2,
    ),
    "the last run of the window has all that opened since": (
        days(0, 7),
        [attempt("d1", 1), attempt("d2", 5), attempt("d3", 170), incident("i1", 160)],
        1 / 2,
        2,
    ),
    "incidents after the window are nobody's": (days(0, 7), [attempt("d1", 1), incident("i1", 169)], 0.0, 1),
    "so are those before the first run": (days(0, 7), [attempt("d1", 1), incident("i1", 0.5)], 0.0, 1),
    # d1 is blamed: the original was merged after its start
    "a revert is an incident at the merge of what it reverts": (
        days(0, 7),
        [
            attempt("d1", 1),
            change(7, 2),
            attempt("d2", 5),
            change(8, 9, head_ref="revert-7-feature/7"),
            attempt("d3", 10),
        ],
        1 / 3,
        3,
    ),
}


@pytest.mark.parametrize("case", MIDDLEWARE_FAIL_RATES.values(), ids=MIDDLEWARE_FAIL_RATES.keys())
def test_middleware_change_fail_rate(case: Case) -> None:
    window, happened, value, n = case

    assert measured("middleware", FAIL_RATE, window, *happened) == Metric(value=value, unit="ratio", n=n)


MIDDLEWARE_RECOVERIES: dict[str, Case] = {
    # 1, 1 and 7 hours: the mean is 3, the median 1; the deployment is not asked
    "the mean from opened to resolved": (
        days(0, 7),
        [attempt("d1", 1), incident("i1", 4, 5), incident("i2", 5, 6), incident("i3", 8, 15)],
        3 * HOUR,
        3,
    ),
    "also of what no deployment caused": (days(0, 7), [incident("i1", 4, 5)], HOUR, 1),
    "of what was resolved in the window": (
        days(1, 7),
        [incident("i1", 4, 30), incident("i2", 30, 200), incident("i3", 30)],
        26 * HOUR,
        1,
    ),
    "of a revert, from the merge of the original to its own": (
        days(0, 7),
        [change(7, 2), change(8, 9, opened=8.5, head_ref="revert-7-feature/7")],
        7 * HOUR,
        1,
    ),
    "of several reverts, the first": (
        days(0, 7),
        [change(7, 2), change(8, 9, head_ref="revert-7-a"), change(9, 20, head_ref="revert-7-b")],
        7 * HOUR,
        1,
    ),
    "a revert of something unknown tells nothing": (days(0, 7), [change(8, 9, head_ref="revert-7-a")], None, 0),
}


@pytest.mark.parametrize("case", MIDDLEWARE_RECOVERIES.values(), ids=MIDDLEWARE_RECOVERIES.keys())
def test_middleware_recovery_time(case: Case) -> None:
    window, happened, value, n = case

    assert measured("middleware", RECOVERY_TIME, window, *happened) == Metric(value=value, unit="seconds", n=n)


@pytest.mark.parametrize(
    ("deployments", "value", "n"),
    [
        (on_days(0, 1, 2, 3, 4, 5), 0, 6),  # six in seven days
        (on_days(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6), 1, 13),  # thirteen
        (on_days(*range(7), *range(7)), 2, 14),
        ([*on_days(*range(6)), attempt("failed", 150, outcome="failed")], 0, 6),
    ],
)
def test_middleware_frequency_is_a_whole_number_per_day_rounded_down(
    deployments: list[Attempt], value: float, n: int
) -> None:
    metric = measured("middleware", FREQUENCY, days(0, 7), *deployments)

    assert metric == Metric(value=value, unit="per_day", n=n)
