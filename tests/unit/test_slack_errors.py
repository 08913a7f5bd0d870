"""What each answer of Slack means, and what becomes of a message: the tables of the posting protocol."""

from typing import get_args

import msgspec
import pytest

from notifier.errors import CLASSES, ErrorClass, Failure, answered, class_of
from notifier.settlement import (
    Doubt,
    Job,
    Limits,
    Trial,
    failed,
    failed_by_webhook,
    not_found,
    succeeded,
    whisper_failed,
)

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


# Of the method's page in Slack's reference; and what has been seen of it beside.
DOCUMENTED = """
access_denied accesslimited account_inactive as_user_not_supported cannot_reply_to_message channel_not_found
deprecated_endpoint duplicate_channel_not_found duplicate_message_not_found ekm_access_denied enterprise_is_restricted
fatal_error internal_error invalid_arg_name invalid_arguments invalid_array_arg invalid_auth invalid_blocks
invalid_blocks_format invalid_charset invalid_form_data invalid_metadata_format invalid_metadata_schema
invalid_post_type is_archived markdown_text_conflict message_limit_exceeded messages_tab_disabled
metadata_must_be_sent_from_app metadata_too_large method_deprecated missing_post_type missing_scope
msg_blocks_too_long msg_too_long no_permission no_text not_allowed_token_type not_authed not_in_channel
org_login_required rate_limited ratelimited request_timeout restricted_action restricted_action_non_threadable_channel
restricted_action_read_only_channel restricted_action_thread_locked restricted_action_thread_only_channel
service_unavailable slack_connect_blocked_file_type slack_connect_canvas_sharing_blocked
slack_connect_clip_sharing_blocked slack_connect_file_link_sharing_blocked slack_connect_lists_sharing_blocked
team_access_not_granted team_added_to_org team_not_found token_expired token_revoked too_many_attachments
too_many_contact_cards two_factor_setup_required
"""
OF_WEBHOOKS = """
action_prohibited channel_is_archived channel_not_found invalid_payload invalid_token no_active_hooks no_service
no_team no_text posting_to_general_channel_denied rollup_error too_many_attachments user_not_found
"""


@pytest.mark.parametrize("error", [*DOCUMENTED.split(), *OF_WEBHOOKS.split()])
def test_every_documented_error_has_a_class_and_an_outcome(error: str) -> None:
    kind = class_of(error)

    outcome = failed(POST, failure(kind), LIMITS)

    assert kind != "unrecognised"
    assert outcome.state in {
        "rate": ("ready",),
        "soft_cap": ("ready",),
        "not_sent": ("ready",),
        "ambiguous": ("unknown",),
        "destination": ("dead",),
        "payload": ("ready",),
        "auth": ("ready",),
    }.get(kind, ())


@pytest.mark.parametrize("kind", ["ambiguous", "unrecognised"])
@pytest.mark.parametrize(
    ("doubt", "approves", "state"),
    [
        ("hold", False, "dead"),
        ("hold_approvals", False, "ready"),
        ("hold_approvals", True, "dead"),
        ("resend", True, "ready"),
    ],
)
def test_webhook_in_doubt_is_held_for_a_person_or_sent_again_and_flagged(
    kind: ErrorClass, doubt: Doubt, approves: bool, state: str
) -> None:
    trial = Trial(job="post", approves=approves)

    found = failed_by_webhook(trial, failure(kind), msgspec.structs.replace(LIMITS, doubt=doubt))

    assert (found.state, found.in_doubt, found.unsent) == (state, True, False)


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
