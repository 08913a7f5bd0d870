"""The arithmetic of changes in progress, of what became of them, and of what needs attention: worked out by hand."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_svc.flow import changes, progress, reviews, stages
from metrics_svc.flow.reviews import Reviews
from metrics_svc.flow.row import FlowRow
from metrics_svc.flow.samples import ChangeSamples
from metrics_svc.flow.signals import OpenChange, signals
from metrics_svc.flow.stages import STAGES
from metrics_svc.question import Question
from metrics_svc.window import Window
from shared.catalog import Thresholds
from tests.shipping import HOUR, at

WEEK = Question(services=("checkout",), window=Window(at(0), at(168)))
TWO_DAYS = Question(services=("checkout",), window=Window(at(0), at(48)), grain="day")


def numbers(rows: Sequence[FlowRow]) -> list[tuple[str, float | None, int]]:
    return [(row.part, row.value, row.n) for row in rows]


def in_progress(*found: tuple[float, float | None]) -> list[ChangeSamples]:
    """Changes by the hours at which they were ready and ended."""
    ready = sorted(at(start).timestamp() for start, _ in found)
    ended = sorted(at(end).timestamp() for _, end in found if end is not None)
    samples = {progress.READY: ready, progress.ENDED: ended}
    return [ChangeSamples(service="checkout", piece=0, n=len(found), samples=samples)]


def samples(*found: float, piece: int = 0) -> ChangeSamples:
    """Of as many changes, and one without a sample."""
    return ChangeSamples(service="checkout", piece=piece, n=len(found) + 1, samples={"": found})


# ---- in progress -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "at_end", "most"),
    [
        ([], 0, 0),
        ([(1, None)], 1, 1),
        ([(-9, None), (-5, 3)], 1, 2),
        ([(1, 5), (5, 9)], 0, 1),
        ([(1, 5), (4, 9)], 0, 2),
        ([(1, 168), (168, None)], 1, 1),
        ([(-9, 0)], 0, 0),
    ],
    ids=["none", "one", "from before", "one after another", "side by side", "at the end", "ended at the start"],
)
def test_in_progress_are_those_open_at_the_end_and_at_most_at_once(
    found: Sequence[tuple[float, float | None]], at_end: int, most: int
) -> None:
    assert numbers(progress.wip(in_progress(*found), WEEK, at(200))) == [("", at_end, at_end), ("max", most, most)]


@given(st.lists(st.tuples(st.integers(-50, 200), st.integers(0, 60)), max_size=60))
def test_at_most_at_once_is_the_most_at_any_moment_of_the_window(spans: list[tuple[int, int]]) -> None:
    found = in_progress(*((ready, ready + lasts) for ready, lasts in spans))

    _, most = progress.wip(found, WEEK, at(200))

    at_once = [sum(ready <= hour < ready + lasts for ready, lasts in spans) for hour in range(168)]
    assert most.value == max(at_once)


def test_each_day_has_what_was_open_at_its_end_and_days_to_come_have_nothing() -> None:
    found = in_progress((1, 30), (20, None), (26, 28))

    past, today = progress.wip(found, TWO_DAYS, at(200)), progress.wip(found, TWO_DAYS, at(23))

    assert numbers(past) == [("", 2, 2), ("max", 2, 2), ("", 1, 1), ("max", 3, 3)]
    assert numbers(today) == [("", 2, 2), ("max", 2, 2), ("", None, 0), ("max", None, 0)]


def test_what_was_in_progress_is_so_of_each_who_had_the_service_for_as_long() -> None:
    found = in_progress((1, 30), (20, None), (26, 28), (2, 3))

    first = progress.held(found, Window(at(0), at(24)))
    second = progress.held(in_progress((1, 30), (20, None), (26, 28)), Window(at(24), at(48)))

    assert numbers(progress.wip(first, TWO_DAYS, at(200))) == [("", 2, 2), ("max", 2, 2), ("", 0, 0), ("max", 0, 0)]
    assert numbers(progress.wip(second, TWO_DAYS, at(200))) == [("", 0, 0), ("max", 0, 0), ("", 1, 1), ("max", 3, 3)]
    both = progress.wip([*first, *second], TWO_DAYS, at(200))
    assert numbers(both) == numbers(progress.wip(found, TWO_DAYS, at(200)))


# ---- what became of them -----------------------------------------------------------------------------------------


def test_durations_are_medians_of_each_piece() -> None:
    rows = changes.durations("pickup_time", [samples(600.0, 1800.0), samples(60.0, piece=1)], TWO_DAYS)

    assert numbers(rows) == [("", 1200.0, 2), ("", 60.0, 1)]


def test_throughput_is_all_merged_and_of_each_size() -> None:
    merged = ChangeSamples(
        service="checkout", piece=0, n=4, counts={**dict.fromkeys(("M", "L", "XL"), 0), "XS": 1, "S": 2}
    )

    assert numbers(changes.throughput([merged], WEEK)) == [
        ("", 4, 4),
        ("XS", 1, 1),
        ("S", 2, 2),
        ("M", None, 0),
        ("L", None, 0),
        ("XL", None, 0),
    ]


def test_rework_is_the_mean_of_rounds_and_size_the_median_of_lines() -> None:
    [rework], [size] = (
        changes.rework_cycles([samples(0, 0, 2)], WEEK),
        changes.change_size([samples(10, 20, 900)], WEEK),
    )

    assert rework.value == pytest.approx(2 / 3)
    assert (rework.n, rework.unit, rework.low) == (3, "rounds", None)
    assert (size.value, size.n, size.unit, size.mean) == (20, 3, "lines", 310)


# ---- stages ------------------------------------------------------------------------------------------------------


def split(*hours: float | None) -> dict[str, float | None]:
    """First commit, ready, first review, approval, merge, start and end of the deployment."""
    moments = (None if hour is None else at(hour) for hour in hours)
    return stages.stages(**dict(zip(stages.MOMENTS, moments, strict=True)))


def test_stages_of_a_complete_change_are_its_whole() -> None:
    found = split(0, 1, 3, 6, 10, 15, 21)

    assert found == {stage: hours * HOUR for stage, hours in zip(STAGES, range(1, 7), strict=True)}
    assert sum(seconds or 0 for seconds in found.values()) == 21 * HOUR


@pytest.mark.parametrize(
    ("missing", "stages_without"),
    [
        (0, {"coding"}),
        (1, {"coding", "pickup"}),
        (2, {"pickup", "review"}),
        (3, {"review", "merge_wait"}),
        (5, {"deploy_queue", "deploy_run"}),
    ],
)
def test_stage_without_an_end_is_null(missing: int, stages_without: set[str]) -> None:
    moments: list[float | None] = [0, 1, 3, 6, 10, 15, 21]
    moments[missing] = None

    found = split(*moments)

    assert {stage for stage, seconds in found.items() if seconds is None} == stages_without


def test_stage_that_would_be_negative_is_null() -> None:
    """Reviewed before it was ready: a draft."""
    found = split(0, 3, 2, 6, 10, 15, 21)

    assert (found["pickup"], found["coding"], found["review"]) == (None, 3 * HOUR, 4 * HOUR)


def test_cycle_time_has_each_stage_with_an_n_of_its_own() -> None:
    found = {**dict.fromkeys(STAGES, ()), "": (9.0, 21.0), "coding": (1.0, 5.0), "pickup": (2.0,)}

    rows = stages.cycle_time([ChangeSamples(service="checkout", piece=0, n=2, samples=found)], WEEK)

    assert numbers(rows)[:3] == [("", 15.0, 2), ("coding", 3.0, 2), ("pickup", 2.0, 1)]
    assert [row.coverage for row in rows] == [None, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0]


# ---- reviews -----------------------------------------------------------------------------------------------------


def done(*names: str) -> list[Reviews]:
    return [Reviews(service="checkout", piece=0, reviewer=name, done=1) for name in names]


def test_review_load_is_all_reviews_and_the_share_of_the_busiest() -> None:
    """One by somebody unknown counts in the whole alone."""
    found = done("ben", "ben", "cleo", "ben", "")

    assert numbers(reviews.review_load(found, WEEK, people=False)) == [("", 5, 5), ("busiest_share", 0.75, 4)]


def test_reviewers_are_parts_only_where_people_are_wanted() -> None:
    named = reviews.review_load(done("cleo", "ben", "ben"), WEEK, people=True)

    assert numbers(named)[2:] == [("ben", 2, 2), ("cleo", 1, 1)]


# ---- nothing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows",
    [
        lambda: changes.durations("pickup_time", [], WEEK),
        lambda: changes.throughput([], WEEK),
        lambda: changes.rework_cycles([], WEEK),
        lambda: changes.change_size([], WEEK),
        lambda: stages.cycle_time([], WEEK),
        lambda: reviews.review_load([], WEEK, people=True),
    ],
    ids=["durations", "throughput", "rework", "size", "cycle", "load"],
)
def test_nothing_to_measure_is_null_rather_than_zero(rows: Callable[[], list[FlowRow]]) -> None:
    found = rows()

    assert found
    assert {(row.value, row.n, row.low, row.mean) for row in found} == {(None, 0, None, None)}


# ---- signals -----------------------------------------------------------------------------------------------------

THRESHOLDS = Thresholds(stale_change_h=48, unreviewed_h=12, wip_limit=2)


def waiting(
    number: int,
    ready: float,
    *,
    reviewed: float | None = None,
    touched: float | None = None,
    ticket: str = "CHK-1",
    has_tracker: bool = True,
) -> OpenChange:
    return OpenChange(
        service="checkout",
        repository="acme/checkout",
        number=number,
        title=f"Change {number}",
        url="",
        author="ana",
        ready_at=at(ready),
        first_review_at=None if reviewed is None else at(reviewed),
        last_activity_at=None if touched is None else at(touched),
        ticket=ticket,
        has_tracker=has_tracker,
    )


@pytest.mark.parametrize(
    ("found", "raised"),
    [
        ([waiting(1, 88)], []),
        ([waiting(1, 87.9)], [("change_without_review", "acme/checkout#1", 87.9)]),
        ([waiting(1, 0, reviewed=1, touched=52)], []),
        ([waiting(1, 0, reviewed=1, touched=51.9)], [("stale_change", "acme/checkout#1", 51.9)]),
        ([waiting(1, 51.9, reviewed=99)], [("stale_change", "acme/checkout#1", 51.9)]),
        ([waiting(1, 99, ticket="")], [("change_without_ticket", "acme/checkout#1", 99)]),
        ([waiting(1, 99, ticket="", has_tracker=False)], []),
        ([waiting(1, 99), waiting(2, 98)], []),
        ([waiting(1, 99), waiting(2, 98), waiting(3, 97)], [("wip_limit_exceeded", "checkout", 99)]),
    ],
    ids=[
        *("at the limit", "unreviewed", "touched in time", "stale", "nobody touched it", "no ticket"),
        "no tracker",
        *("as many as may be", "one too many"),
    ],
)
def test_signal_is_raised_beyond_its_threshold(
    found: Sequence[OpenChange], raised: list[tuple[str, str, float]]
) -> None:
    """At hour 100."""
    told = [(signal.kind, signal.subject, signal.since) for signal in signals(found, THRESHOLDS, at(100))]

    assert told == [(kind, subject, at(since)) for kind, subject, since in raised]


def test_without_a_limit_any_number_may_be_in_progress() -> None:
    assert signals([waiting(n, 99) for n in range(50)], Thresholds(), at(100)) == []
