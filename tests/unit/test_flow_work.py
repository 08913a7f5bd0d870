"""The arithmetic of builds, tickets and production: numbers worked out by hand."""

from collections.abc import Sequence

import pytest

from metrics_svc.flow import builds, production, tickets
from metrics_svc.flow.builds import Builds
from metrics_svc.flow.pieces import piece_of
from metrics_svc.flow.production import Attempts, Incidents
from metrics_svc.flow.row import FlowRow
from metrics_svc.flow.tickets import Tickets
from metrics_svc.question import Question
from metrics_svc.window import Window
from tests.shipping import at

WEEK = Question(services=("checkout",), window=Window(at(0), at(168)))
TWO_DAYS = Question(services=("checkout", "ledger"), window=Window(at(0), at(48)), grain="day")
BUILDS = [
    Builds(service="checkout", piece=0, on_default=True, succeeded=3, failed=1, durations=(600.0, 900.0, 1200.0)),
    Builds(service="checkout", piece=0, on_default=False, succeeded=1, failed=3, durations=(60.0,)),
]


def numbers(rows: Sequence[FlowRow]) -> list[tuple[str, float | None, int]]:
    return [(row.part, row.value, row.n) for row in rows]


def test_builds_succeed_as_often_as_those_that_ended_well_among_all_that_ended() -> None:
    assert numbers(builds.success_rate(BUILDS, WEEK)) == [("", 0.5, 8), ("default_branch", 0.75, 4)]


def test_build_takes_the_median_of_all_and_of_the_default_branch() -> None:
    rows = builds.duration(BUILDS, WEEK)

    assert numbers(rows) == [("", 750.0, 4), ("default_branch", 900.0, 3)]
    assert (rows[0].mean, rows[0].p75, rows[0].unit) == (690.0, 975.0, "seconds")


@pytest.mark.parametrize(("hours", "piece"), [(0, 0), (23.9, 0), (24, 1), (47.9, 1)])
def test_moment_lies_in_the_piece_that_begins_with_it(hours: float, piece: int) -> None:
    assert piece_of(at(hours), TWO_DAYS.buckets) == piece


def test_every_service_and_day_has_its_rows_and_null_where_nothing_happened() -> None:
    found = [Builds(service="ledger", piece=1, on_default=True, succeeded=1, failed=0)]

    rows = [row for row in builds.success_rate(found, TWO_DAYS) if not row.part]

    assert [(row.service, row.start, row.end, row.value, row.n) for row in rows] == [
        ("checkout", at(0), at(24), None, 0),
        ("checkout", at(24), at(48), None, 0),
        ("ledger", at(0), at(24), None, 0),
        ("ledger", at(24), at(48), 1.0, 1),
    ]


@pytest.mark.parametrize(
    ("found", "lead", "cycle", "throughput"),
    [
        ([], (None, 0), (None, 0), (None, 0)),
        ([Tickets(service="checkout", piece=0, closed=1)], (None, 0), (None, 0), (1, 1)),
        (
            [Tickets(service="checkout", piece=0, closed=3, lead_times=(10, 20), cycle_times=(6,))],
            (15, 2),
            (6, 1),
            (3, 3),
        ),
    ],
)
def test_tickets_without_a_known_time_count_and_have_no_duration(
    found: list[Tickets],
    lead: tuple[float | None, int],
    cycle: tuple[float | None, int],
    throughput: tuple[float | None, int],
) -> None:
    assert numbers(tickets.lead_time(found, WEEK)) == [("", *lead)]
    assert numbers(tickets.cycle_time(found, WEEK)) == [("", *cycle)]
    assert numbers(tickets.throughput(found, WEEK)) == [("", *throughput)]


def test_attempts_that_failed_lower_the_rate_and_redeploys_are_attempts_but_nothing_shipped() -> None:
    found = [
        Attempts(service="checkout", piece=0, succeeded=5, shipped=4, rollbacks=1),
        *[Attempts(service="checkout", piece=0, failed=1)] * 3,
    ]

    assert numbers(production.success_rate(found, WEEK)) == [("", 5 / 8, 8)]
    assert numbers(production.rollback_rate(found, WEEK)) == [("", 1 / 4, 4)]


@pytest.mark.parametrize(("days", "expected"), [(7, 3.0), (14, 1.5), (3.5, 6.0)])
def test_incidents_are_counted_per_week_however_long_the_window_is(days: float, expected: float) -> None:
    question = Question(services=("checkout",), window=Window(at(0), at(24 * days)))

    [row] = production.incident_frequency([Incidents(service="checkout", piece=0, opened=3)], question)

    assert (row.value, row.n, row.unit) == (expected, 3, "per_week")


def test_no_incident_is_no_number() -> None:
    assert numbers(production.incident_frequency([], WEEK)) == [("", None, 0)]
