"""The state machine: who may leave pending, how often, and that nothing leads back."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals_svc.decision import (
    CastVote,
    Command,
    ConfirmEffect,
    Decision,
    Expire,
    GiveUpEffect,
    Refusal,
    Replay,
    State,
    Status,
    Transition,
    Verb,
    Vote,
    decide,
    missing,
)
from approvals_svc.eligibility import Electorate

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=4)
PEOPLE = ("ana", "bo", "cy")
VOTERS = Electorate(allowed=frozenset(PEOPLE), refusals={"di": "di asked for it"})
COMMANDS: tuple[Command, ...] = (
    CastVote(vote=Vote(person="ana", verb="approve")),
    CastVote(vote=Vote(person="ana", verb="reject")),
    Expire(),
    ConfirmEffect(),
    GiveUpEffect(),
)


def waiting(*votes: Vote, status: Status = "pending", required: int = 2) -> State:
    return State(status=status, revision=1, required=required, expires_at=LATER, electorate=VOTERS, votes=votes)


def says(person: str, verb: Verb = "approve", *, revision: int | None = None, state: State | None = None) -> Decision:
    command = CastVote(vote=Vote(person=person, verb=verb), revision=revision)
    return decide(state or waiting(), command, NOW)


def status_of(decision: Decision) -> str:
    assert isinstance(decision, Transition)
    return decision.status


def reason_of(decision: Decision) -> str:
    assert isinstance(decision, Refusal)
    return decision.reason


def test_law_7_only_a_quorum_of_different_people_approves() -> None:
    first = says("ana")
    second = says("bo", state=waiting(Vote(person="ana", verb="approve")))

    assert (status_of(first), status_of(second)) == ("pending", "approved")


def test_one_reject_ends_it() -> None:
    assert status_of(says("bo", "reject", state=waiting(Vote(person="ana", verb="approve")))) == "rejected"


def test_same_vote_of_the_same_person_again_is_a_replay() -> None:
    assert says("ana", state=waiting(Vote(person="ana", verb="approve"))) == Replay()


def test_changed_mind_replaces_the_vote() -> None:
    before = Vote(person="ana", verb="approve")

    found = says("ana", "reject", state=waiting(before))

    assert isinstance(found, Transition)
    assert (found.status, found.replaced, len(found.votes)) == ("rejected", before, 1)


def test_requester_and_unmapped_account_are_refused_with_the_reason() -> None:
    refused = says("di")

    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.detail) == ("not_eligible", "di asked for it")
    assert reason_of(says("")) == "not_eligible"


def test_vote_of_somebody_excluded_since_counts_no_more() -> None:
    state = waiting(Vote(person="di", verb="approve"))

    assert status_of(says("ana", state=state)) == "pending"
    assert missing(state) == 2


def test_old_card_is_superseded() -> None:
    assert reason_of(says("ana", revision=2)) == "superseded"
    assert status_of(says("ana", revision=1)) == "pending"


@pytest.mark.parametrize(("offset", "status"), [(timedelta(microseconds=-1), "pending"), (timedelta(0), "expired")])
def test_law_7_vote_at_the_deadline_expires_it_and_is_not_recorded(offset: timedelta, status: str) -> None:
    found = decide(waiting(), COMMANDS[0], LATER + offset)

    assert isinstance(found, Transition)
    assert (found.status, found.recorded is None) == (status, status == "expired")


def test_sweep_expires_only_what_is_due() -> None:
    assert reason_of(decide(waiting(), Expire(), NOW)) == "not_due"
    assert status_of(decide(waiting(), Expire(), LATER)) == "expired"


@pytest.mark.parametrize("status", ["approved", "rejected", "expired", "executed", "dead"])
@pytest.mark.parametrize("command", COMMANDS[:3])
def test_no_vote_and_no_timer_changes_what_is_decided(status: Status, command: Command) -> None:
    refused = decide(waiting(status=status), command, LATER)

    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.detail) == ("decided", f"it is {status} already")


@pytest.mark.parametrize(
    ("status", "confirmed", "given_up"),
    [("approved", "executed", "dead"), ("rejected", "rejected", "dead"), ("expired", "expired", "dead")],
)
def test_effect_ends_a_decision_without_changing_what_it_was(status: Status, confirmed: str, given_up: str) -> None:
    state = waiting(status=status)

    assert status_of(decide(state, ConfirmEffect(), NOW)) == confirmed
    assert status_of(decide(state, GiveUpEffect(), NOW)) == given_up


@pytest.mark.parametrize(("status", "command"), list(product(["pending", "executed", "dead"], COMMANDS[3:])))
def test_effect_of_nothing_is_refused(status: Status, command: Command) -> None:
    assert reason_of(decide(waiting(status=status), command, NOW)) == "no_effect_due"


votes = st.builds(
    lambda person, verb: CastVote(vote=Vote(person=person, verb=verb)),
    st.sampled_from([*PEOPLE, "di", ""]),
    st.sampled_from(["approve", "reject"]),
)


@given(st.lists(st.tuples(votes, st.integers(0, 5)), max_size=30), st.integers(1, 3))
def test_any_run_of_votes_and_hours_leaves_pending_once_and_only_by_the_rules(
    commands: list[tuple[CastVote, int]], required: int
) -> None:
    state, left = waiting(required=required), 0
    for command, hours in commands:
        now = NOW + timedelta(hours=hours)
        found = decide(state, command, now)
        if not isinstance(found, Transition):
            continue
        left += found.status != "pending"
        approving = {vote.person for vote in found.votes if vote.verb == "approve"}
        assert {vote.person for vote in found.votes} <= set(PEOPLE)
        assert found.status != "approved" or (len(approving) >= required and now < LATER)
        assert found.status != "expired" or now >= LATER
        state = State(
            status=found.status, revision=1, required=required, expires_at=LATER, electorate=VOTERS, votes=found.votes
        )
    assert left <= 1
