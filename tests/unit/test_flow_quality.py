"""Coverage and quality gates: numbers worked out by hand."""

from typing import Any

import pytest

from metrics_svc.flow.code_quality import code_quality
from metrics_svc.flow.gates import held, latest, red_share
from metrics_svc.flow.quality import COVERAGE, Report, coverage, covered
from metrics_svc.question import Question
from metrics_svc.window import Window
from tests.shipping import at

TWO_DAYS = Question(services=("checkout",), window=Window(at(0), at(48)))
BY_DAY = Question(services=("checkout",), window=Window(at(0), at(48)), grain="day")
MAIN = "acme/checkout@main"
LONG_AFTER = at(1000)


def report(hours: float, **fields: Any) -> Report:
    values: dict[str, Any] = {"repository": "acme/checkout", "branch": "main", **fields}
    name = f"{hours}"
    return Report(
        id=name, service="checkout", source="codecov", project="acme/checkout", delivery=name, occurred_at=at(hours),
        **values,
    )  # fmt: skip


COVERED = [
    report(1, coverage=80.0, coverage_base=79.0),
    report(20, coverage=84.0, coverage_base=80.0),
    report(30, coverage=82.5, coverage_base=84.0),
    report(31, coverage=60.0, branch="x"),
    report(32),  # an upload that failed
]


@pytest.mark.parametrize(
    ("metric", "day_one", "day_two", "both"),
    [
        ("coverage", (84.0, 2), (82.5, 1), (82.5, 3)),
        ("coverage_min", (80.0, 2), (82.5, 1), (80.0, 3)),
        ("coverage_max", (84.0, 2), (82.5, 1), (84.0, 3)),
        ("coverage_delta", (4.0, 2), (None, 0), (2.5, 3)),
    ],
)
def test_coverage_of_a_branch(
    metric: str, day_one: tuple[float, int], day_two: tuple[float | None, int], both: tuple[float, int]
) -> None:
    by_day = coverage(metric, covered(COVERED[::-1], BY_DAY), BY_DAY)
    whole = coverage(metric, covered(COVERED, TWO_DAYS), TWO_DAYS)

    assert [(row.value, row.n) for row in by_day if row.part == MAIN] == [day_one, day_two]
    assert [(row.value, row.n) for row in whole if row.part == MAIN] == [both]


def test_branch_without_a_report_in_a_piece_has_no_coverage_there() -> None:
    rows = coverage("coverage", covered(COVERED, BY_DAY), BY_DAY)

    assert [(row.part, row.value) for row in rows if row.part != MAIN] == [
        ("acme/checkout@x", None),
        ("acme/checkout@x", 60.0),
    ]


def test_service_without_reports_has_one_row_without_a_number() -> None:
    for metric in COVERAGE:
        assert [(row.part, row.value, row.n) for row in coverage(metric, [], TWO_DAYS)] == [("", None, 0)]
    assert [(row.part, row.value, row.n) for row in red_share([], TWO_DAYS)] == [("", None, 0)]


@pytest.mark.parametrize(
    ("told", "now", "expected"),
    [
        ([(0, "passed"), (12, "failed"), (36, "passed")], 1000, 0.5),
        ([(0, "passed"), (12, "failed"), (36, "none")], 1000, 24 / 36),
        ([(-24, "failed"), (24, "passed")], 1000, 0.5),
        ([(36, "failed")], 1000, 1.0),
        ([(36, "warning")], 1000, 0.0),
        ([(0, "failed"), (12, "passed")], 24, 0.5),
        ([(12, "failed"), (60, "passed")], 6, None),
        ([(-31 * 24, "failed")], 1000, None),
        ([(24 - 30 * 24, "failed"), (36, "passed")], 1000, 24 / 36),
        ([(0, "none")], 1000, None),
        ([(0, "")], 1000, None),
    ],
)
def test_gate_is_red_from_a_report_that_says_so_to_the_next_one(
    told: list[tuple[float, str]], now: float, expected: float | None
) -> None:
    found = [report(hours, gate=gate) for hours, gate in told]

    [whole, *_] = red_share(held(found, TWO_DAYS, at(now)), TWO_DAYS)

    assert whole.part == ""
    assert whole.value == (None if expected is None else pytest.approx(expected))


def test_all_branches_together_are_red_by_their_time_and_not_by_their_number() -> None:
    found = [report(0, gate="failed"), report(36, gate="passed", branch="x")]

    rows = red_share(held(found, TWO_DAYS, LONG_AFTER), TWO_DAYS)

    assert [(row.part, row.value, row.n) for row in rows] == [
        ("", 0.8, 2),  # 48 of 60 hours
        (MAIN, 1.0, 1),
        ("acme/checkout@x", 0.0, 1),
    ]


def test_latest_gate_is_the_last_before_the_end_of_the_piece() -> None:
    found = [report(1, gate="passed"), report(2, gate="failed", branch="x"), report(24, gate="failed")]

    rows = latest(held(found, BY_DAY, LONG_AFTER), BY_DAY, LONG_AFTER)

    told = [(row.start, row.part, row.value, row.n) for row in rows if row.value]
    assert told == [(at(0), "passed", 1, 2), (at(0), "failed", 1, 2), (at(24), "failed", 2, 2)]
    assert [row.value for row in latest([], TWO_DAYS, LONG_AFTER)] == [None] * 4


def test_code_quality_is_one_row_per_branch_with_the_latest_of_everything() -> None:
    found = [report(-5, gate="failed"), *COVERED]

    main, x = code_quality(found, TWO_DAYS)

    assert (main.coverage, main.coverage_min, main.coverage_max, main.coverage_delta) == (82.5, 80.0, 84.0, 2.5)
    assert (main.coverage_vs_base, main.gate, main.reports) == (-1.5, "failed", 4)
    assert (main.reported_at, main.deliveries) == (at(32), ["30", "-5"])
    assert (x.branch, x.coverage, x.coverage_delta, x.coverage_vs_base, x.gate) == ("x", 60.0, None, None, None)
