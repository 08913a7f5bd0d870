"""What the limiter learns from refusals, against a cap that it isn't told."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from notifier.limiter import MOST_PER_S, START_PER_S, Pace, Terms, blame, bulk_may_update, refuse, take

NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)
TERMS = Terms(post_interval_s=1, updates_per_min=50, posts_a_day=100, timezone=ZoneInfo("Europe/Berlin"))


def refusals(cap_per_s: float, *, calls: int, burst: int = 10) -> tuple[int, float]:
    """How many of so many calls a bucket of that cap refuses, and how many a second went through."""
    pace, now, level, refused = Pace(free_at=NOW, per_s=START_PER_S), NOW, float(burst), 0
    recent: list[datetime] = []
    for _ in range(calls):
        begins_at = max(now, pace.free_at)
        level = min(burst, level + (begins_at - now).total_seconds() * cap_per_s)
        now = begins_at
        pace = take(pace, now=now, most_per_s=MOST_PER_S)
        recent = [at for at in recent if at > now - timedelta(seconds=2)] + [now]
        if level >= 1:
            level -= 1
        else:
            refused += 1
            pace = refuse(pace, seen_per_s=len(recent) / 2)
    return refused, (calls - refused) / (now - NOW).total_seconds()


@pytest.mark.parametrize("cap_per_s", [3.0, 15.0, 24.0, 60.0])
def test_cap_that_nobody_told_is_nearly_used_and_seldom_met(cap_per_s: float) -> None:
    refused, per_s = refusals(cap_per_s, calls=10_000)

    assert refused <= 0.005 * 10_000
    assert per_s >= cap_per_s / 1.1


def test_turn_that_was_noticed_late_is_made_up_for_by_one_call_at_most() -> None:
    late = Pace(free_at=NOW - timedelta(seconds=60), per_s=10)

    first = take(late, now=NOW, most_per_s=10)
    second = take(first, now=NOW, most_per_s=10)

    assert first.free_at == NOW
    assert second.free_at == NOW + timedelta(seconds=0.1)


def test_channel_never_goes_faster_than_slack_says() -> None:
    pace = Pace(free_at=NOW, per_s=1)

    for _ in range(2_000):
        pace = take(pace, now=pace.free_at, most_per_s=1)

    assert pace.per_s == 1
    assert pace.free_at == NOW + timedelta(seconds=2_000)


@pytest.mark.parametrize(
    ("seen", "since_channel_s", "since_workspace_s", "expected"),
    [
        (1.0, None, None, {"channel"}),
        (20.0, None, None, {"workspace"}),
        (20.0, None, 0.1, set()),
        (20.0, 30.0, 0.1, {"channel"}),
        (20.0, 30.0, 40.0, {"workspace"}),
        (20.0, 90.0, 0.1, set()),
    ],
    ids=["alone", "in a crowd", "as another was", "again", "again, in a crowd", "long ago"],
)
def test_refusal_is_blamed_on_whoever_had_many(
    seen: float, since_channel_s: float | None, since_workspace_s: float | None, expected: set[str]
) -> None:
    found = blame(
        age_s=0.5,
        seen_workspace_per_s=seen,
        since_channel_s=since_channel_s,
        since_workspace_s=since_workspace_s,
    )

    assert found == expected


@pytest.mark.parametrize(
    ("made", "is_turn", "expected"),
    [(0, False, True), (9, False, True), (10, False, False), (10, True, True), (39, True, True), (40, True, False)],
)
def test_updates_go_at_once_then_evenly_and_leave_a_fifth_to_urgent_ones(
    made: int, is_turn: bool, expected: bool
) -> None:
    free_at = NOW if is_turn else NOW + timedelta(seconds=1)

    assert bulk_may_update(made, 50, free_at, NOW) == expected


@pytest.mark.parametrize(
    ("at", "day"),
    [
        ("2026-03-28T22:59:59+00:00", 28),
        ("2026-03-28T23:00:00+00:00", 29),
        ("2026-03-29T21:59:59+00:00", 29),  # that day has 23 hours
        ("2026-03-29T22:00:00+00:00", 30),
        ("2026-10-25T22:59:59+00:00", 25),  # and that one 25
        ("2026-10-25T23:00:00+00:00", 26),
    ],
)
def test_day_of_the_quota_is_the_calendars(at: str, day: int) -> None:
    assert TERMS.day(datetime.fromisoformat(at)).day == day


def test_tenth_of_the_quota_is_kept_for_what_is_urgent() -> None:
    assert TERMS.bulk_posts_a_day == 90
