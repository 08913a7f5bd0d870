"""What each answer of Slack means, and what becomes of a message: the tables of the posting protocol."""

from typing import get_args

import pytest

from notifier.errors import CLASSES, ErrorClass, Failure, answered, class_of
from notifier.settlement import Job, Limits, Trial, failed, not_found, succeeded, whisper_failed

LIMITS = Limits(timeout_s=10, grace_s=15, pause_s=10)
POST, UPDATE, RECONCILE = (Trial(job=job) for job in get_args(Job))


def failure(kind: ErrorClass, *, wait_s: float = 0.0) -> Failure:
    return Failure(kind=kind, code="word", wait_s=wait_s)


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        (429, "", "rate"),
        (429, "ratelimited", "rate"),
        (200, "ratelimited", "rate"),
        (200, "message_limit_exceeded", "soft_cap"),
        (500, "", "ambiguous"),
        (503, "channel_not_found", "ambiguous"),
        (200, "", "ambiguous"),
        (200, "internal_error", "ambiguous"),
        (200, "is_archived", "destination"),
        (200, "restricted_action_read_only_channel", "destination"),
        (200, "invalid_blocks", "payload"),
        (200, "invalid_metadata_format", "payload"),
        (200, "edit_window_closed", "gone"),
        (200, "token_revoked", "auth"),
        (200, "something_new", "unrecognised"),
    ],
)
def test_an_answer_belongs_to_one_class(status: int, error: str, expected: str) -> None:
    assert answered(status=status, error=error, retry_after="").kind == expected


def test_no_error_stands_in_two_classes() -> None:
    errors = [error for listed in CLASSES.values() for error in listed]

    assert len(errors) == len(set(errors))
    assert all(class_of(error) == kind for kind, listed in CLASSES.items() for error in listed)


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7), ("", 30), ("soon", 30), ("-1", 30), ("1.5", 30), ("٣", 30), ("999999", 3600)]
)
def test_retry_after_is_honoured_and_garbage_is_half_a_minute(header: str, seconds: float) -> None:
    assert answered(status=429, error="", retry_after=header).wait_s == seconds


def test_a_rate_limit_of_posts_rests_the_channel_and_is_learnt_from() -> None:
    post, update = (failed(trial, failure("rate", wait_s=7), LIMITS) for trial in (POST, UPDATE))

    assert (post.state, post.wait_s, post.channel_wait_s, post.failures) == ("ready", 7, 7, 0)
    assert (update.state, update.wait_s, update.channel_wait_s) == ("ready", 7, 0)
    assert post.refused and update.refused


@pytest.mark.parametrize("kind", get_args(ErrorClass))
def test_only_a_post_that_did_not_happen_for_sure_gives_back_its_place_in_the_quota(kind: ErrorClass) -> None:
    assert failed(POST, failure(kind), LIMITS).unsent == (kind not in ("ambiguous", "unrecognised"))
    assert not failed(UPDATE, failure(kind), LIMITS).unsent


def test_a_post_in_doubt_waits_until_its_effect_must_be_visible_an_update_is_made_again() -> None:
    post, update = (failed(trial, failure("ambiguous"), LIMITS) for trial in (POST, UPDATE))

    assert (post.state, post.wait_s) == ("unknown", 25)
    assert update.state == "ready"


def test_only_what_was_not_found_twice_is_sent_again() -> None:
    first = not_found(RECONCILE, LIMITS)
    second = not_found(Trial(job="reconcile", misses=first.misses), LIMITS)

    assert (first.state, first.wait_s) == ("unknown", 10)
    assert (second.state, second.misses) == ("ready", 0)


@pytest.mark.parametrize("kind", get_args(ErrorClass))
def test_a_post_in_doubt_is_never_sent_while_the_history_cannot_be_read(kind: ErrorClass) -> None:
    assert failed(RECONCILE, failure(kind), LIMITS).state == "unknown"


@pytest.mark.parametrize("kind", get_args(ErrorClass))
def test_an_ephemeral_answer_in_doubt_is_flagged_and_not_shown_again(kind: ErrorClass) -> None:
    again = {"rate", "soft_cap", "not_sent", "auth"}

    settlement = whisper_failed(failure(kind), 0)

    assert (settlement.state == "ready") == (kind in again)
    if kind in ("ambiguous", "unrecognised"):
        assert settlement.state == "unknown"


def test_refused_content_is_tried_once_more_as_text_alone() -> None:
    first = failed(POST, failure("payload"), LIMITS)
    second = failed(Trial(job="post", text_only=True), failure("payload"), LIMITS)

    assert (first.state, first.text_only) == ("ready", True)
    assert (second.state, second.error) == ("dead", "payload: word")


def test_a_refused_channel_is_given_up_and_a_refused_token_stops_everything_and_keeps_the_row() -> None:
    refused, stopped = (failed(POST, failure(kind), LIMITS) for kind in ("destination", "auth"))

    assert refused.state == "dead"
    assert (stopped.state, stopped.stops) == ("ready", True)


def test_an_update_of_a_message_that_is_gone_becomes_a_post_of_its_own() -> None:
    assert failed(UPDATE, failure("gone"), LIMITS).afresh
    assert not failed(UPDATE, failure("ambiguous"), LIMITS).afresh


def test_an_unrecognised_word_is_tried_five_times() -> None:
    states = [failed(Trial(job="post", failures=n), failure("unrecognised"), LIMITS).state for n in range(5)]

    assert states == ["unknown"] * 4 + ["dead"]


def test_nothing_sent_is_tried_again_ever_more_slowly_up_to_a_minute() -> None:
    waits = [failed(Trial(job="post", failures=n), failure("not_sent"), LIMITS).wait_s for n in (0, 1, 5, 6, 100)]

    assert waits == [1, 2, 32, 60, 60]


def test_what_changes_within_a_second_is_shown_at_once() -> None:
    assert succeeded(POST).wait_s == succeeded(UPDATE).wait_s == 1
