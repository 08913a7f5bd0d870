"""GitHub's deliveries become events."""

import json
from contextlib import suppress
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from normalizer.disposition import Untranslatable
from normalizer.translation import translate
from shared.contracts.vocabulary import ReviewState
from tests.translations import RECEIVED, Fixture, delivery, fixtures, outcome

FIXTURES = fixtures("github")
OPENED = FIXTURES["pull_request.opened"]
SUCCESS = FIXTURES["deployment_status.success"]
GATE = FIXTURES["deployment_protection_rule.without_run"]


def changed(fixture: Fixture, path: str, value: Any) -> dict[str, Any]:
    """The outcome of the fixture with one field, named by its path, set to another value (or left out)."""
    assert isinstance(fixture.body, dict)
    body: dict[str, Any] = json.loads(json.dumps(fixture.body))
    *parents, last = path.split(".")
    at = body
    for parent in parents:
        at = at[parent]
    at[last] = value
    if value is ...:
        del at[last]
    return outcome(delivery("github", body, event=fixture.headers["X-GitHub-Event"]))


def test_form_tells_the_same_as_json() -> None:
    assert FIXTURES["push.form"].becomes == FIXTURES["push.branch"].becomes


@pytest.mark.parametrize(
    ("state", "becomes"),
    [
        ("queued", "deployment.requested"),
        ("pending", "deployment.requested"),
        ("waiting", "deployment.requested"),
        ("in_progress", "deployment.started"),
        ("error", "deployment.finished"),
    ],
)
def test_status_of_a_deployment_decides_its_kind(state: str, becomes: str) -> None:
    [event] = changed(SUCCESS, "deployment_status.state", state)["events"]

    assert event["kind"] == becomes
    assert event.get("outcome") == ("failed" if state == "error" else None)


def test_environment_of_the_deployment_stands_in_for_that_of_its_status() -> None:
    [event] = changed(SUCCESS, "deployment_status.environment", None)["events"]

    assert event["environment"] == "production"


@pytest.mark.parametrize(
    ("conclusion", "told"),
    [
        ("success", "succeeded"),
        ("startup_failure", "failed"),
        ("cancelled", "cancelled"),
        ("stale", "cancelled"),
        ("skipped", "skipped"),
        ("neutral", "skipped"),
        ("a word of next year", "unknown"),
        (None, "unknown"),
    ],
)
def test_conclusion_of_a_run_is_told_in_our_words_beside_its_own(conclusion: str | None, told: str) -> None:
    [event] = changed(FIXTURES["workflow_run.completed"], "workflow_run.conclusion", conclusion)["events"]

    assert (event["outcome"], event.get("platform_outcome")) == (told, conclusion)


@pytest.mark.parametrize(
    "action",
    [
        "synchronize",
        "reopened",
        "converted_to_draft",
        "edited",
        "labeled",
        "unlabeled",
        "assigned",
        "unassigned",
        "review_requested",
        "review_request_removed",
    ],
)
def test_action_that_changes_the_row_is_an_update_at_its_time(action: str) -> None:
    [event] = changed(FIXTURES["pull_request.reopened"], "action", action)["events"]

    assert event["kind"] == "change.updated"
    assert event["action"] == action
    assert event["occurred_at"] == "2026-02-27T11:00:00Z"


@pytest.mark.parametrize("action", ["locked", "unlocked", "milestoned", "auto_merge_enabled", "enqueued", "dequeued"])
def test_action_that_changes_nothing_we_measure_is_no_fact(action: str) -> None:
    assert changed(OPENED, "action", action) == {"ignored": "no_fact"}


@pytest.mark.parametrize("fixture", ["pull_request.opened", "release.published", "workflow_run.completed"])
def test_unknown_action_is_never_dead(fixture: str) -> None:
    assert changed(FIXTURES[fixture], "action", "teleported") == {"ignored": "unknown_event"}


def test_unknown_state_of_a_deployment_is_never_dead() -> None:
    assert changed(SUCCESS, "deployment_status.state", "levitating") == {"ignored": "unknown_event"}


@pytest.mark.parametrize("state", ["APPROVED", "COMMENTED", "CHANGES_REQUESTED"])
def test_review_state_is_in_lower_case(state: ReviewState) -> None:
    [event] = changed(FIXTURES["pull_request_review.submitted"], "review.state", state)["events"]

    assert event["review_state"] == state.lower()


def test_comment_on_an_issue_that_is_no_change_is_no_fact() -> None:
    assert changed(FIXTURES["issue_comment.created"], "issue.pull_request", ...) == {"ignored": "no_fact"}


def test_test_merge_of_an_open_change_is_not_its_merge_commit() -> None:
    [event] = outcome(FIXTURES["pull_request.reopened"].delivery("github"))["events"]

    assert "merge_sha" not in event


def test_change_without_a_time_has_the_time_it_came_and_says_so() -> None:
    [event] = changed(OPENED, "pull_request.created_at", ...)["events"]

    assert event["occurred_at"] == RECEIVED.isoformat().replace("+00:00", "Z")
    assert event["time_is_received"] is True


@pytest.mark.parametrize(
    ("fixture", "field"),
    [
        ("pull_request.opened", "repository"),
        ("pull_request.opened", "pull_request.number"),
        ("push.branch", "after"),
        ("deployment.created", "deployment.id"),
        ("deployment.created", "deployment.sha"),
        ("deployment.created", "deployment.environment"),
        ("deployment_status.success", "deployment_status.created_at"),
        ("deployment_protection_rule.without_run", "deployment"),
        ("workflow_run.completed", "workflow_run.updated_at"),
        ("release.published", "release.published_at"),
    ],
)
def test_dead_letter_names_the_field_that_is_missing(fixture: str, field: str) -> None:
    told = changed(FIXTURES[fixture], field, ...)

    assert field.rpartition(".")[2] in told["dead"]


def test_dead_letter_names_the_time_that_is_none() -> None:
    told = changed(SUCCESS, "deployment_status.created_at", "soon")

    assert told == {"dead": "deployment_status.created_at: 'soon' is not a time"}


def test_number_that_no_table_could_hold_is_dead() -> None:
    assert "pull_request.number" in changed(OPENED, "pull_request.number", 2**31)["dead"]


def test_gate_without_any_run_is_dead() -> None:
    told = changed(GATE, "deployment_callback_url", "https://api.github.com/repos/acme/checkout")

    assert "workflow_run.id" in told["dead"]


@pytest.mark.parametrize("body", ["", "not json", "payload=", "payload=%7B", "{" * 100_000, '{"a":' + "[" * 100_000])
def test_undecodable_body_is_dead_even_of_an_unknown_event(body: str) -> None:
    assert "body is not JSON" in outcome(delivery("github", body, event="push"))["dead"]
    assert "body is not JSON" in outcome(delivery("github", body, event="next_year"))["dead"]


@pytest.mark.parametrize("escaped", ["\\u0000", "\\u0000\\u0000"])
def test_nul_never_reaches_an_event(escaped: str) -> None:
    assert isinstance(OPENED.body, dict)
    body = json.dumps(OPENED.body).replace("Round totals", f"Round {escaped}\\\\u0000totals")

    for sent in (body, "payload=" + quote_plus(body)):
        [event] = outcome(delivery("github", sent, event="pull_request"))["events"]
        assert event["title"] == "Round \\u0000totals half up"


PATHS = [
    (name, path)
    for name in ("pull_request.merged", "push.branch", "deployment_status.success", "issues.closed")
    for path in json.loads(json.dumps(FIXTURES[name].body))
]


@given(
    st.sampled_from(PATHS),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", "login", "number", "state"]), inner),
        max_leaves=8,
    ),
)
def test_nothing_else_than_untranslatable_is_raised(where: tuple[str, str], value: Any) -> None:
    name, path = where
    fixture = FIXTURES[name]
    assert isinstance(fixture.body, dict)
    sent = delivery("github", {**fixture.body, path: value}, event=fixture.headers["X-GitHub-Event"])

    with suppress(Untranslatable):
        translate(sent)
