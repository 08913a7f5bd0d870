"""The state machine: who may leave pending, how often, and that nothing leads back."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals_svc.decision import (
    NO,
    STATUSES,
    TABLE,
    BreakGlass,
    Cancel,
    CastVote,
    ClaimEffect,
    Command,
    ConfirmEffect,
    Decision,
    Edit,
    Escalate,
    Expire,
    FailEffect,
    GiveUpEffect,
    Lapse,
    LetThrough,
    Refusal,
    Remind,
    Replay,
    Revoke,
    State,
    Status,
    Supersede,
    Thaw,
    Transition,
    Verb,
    Vote,
    decide,
    missing,
)
from approvals_svc.eligibility import Electorate
from approvals_svc.freeze import Freeze, Weekly
from approvals_svc.policy import Terms
from approvals_svc.quorum import Seats, count_seats

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=4)
PEOPLE = ("ana", "bo", "cy")
VOTERS = Electorate(allowed=frozenset(PEOPLE), refusals={"di": "di asked for it"}, requesters=frozenset({"di"}))
FRIDAY = Freeze(name="friday", zone="UTC", window=Weekly(start_day=4, start=time(11), end_day=4, end=time(13)))
COMMANDS: tuple[Command, ...] = (
    CastVote(vote=Vote(person="ana", verb="approve")),
    CastVote(vote=Vote(person="ana", verb="reject")),
    Edit(person="di"),
    Cancel(person="di"),
    BreakGlass(person="ana"),
    Lapse(),
    Supersede(),
    Remind(),
    Escalate(),
    Expire(),
    Thaw(),
    LetThrough(revision=1),
    Revoke(person="ana"),
    ClaimEffect(),
    ConfirmEffect(),
    FailEffect(),
    GiveUpEffect(),
)
TERMINAL = ("rejected", "expired", "cancelled", "superseded", "executed", "dead", "revoked")


def waiting(
    *votes: Vote,
    status: Status = "pending",
    freezes: Sequence[Freeze] = (),
    asks_opa: bool = True,
    **terms: object,
) -> State:
    asked = msgspec.structs.replace(Terms(requires=Seats(count=2)), **terms)
    return State(
        status=status,
        revision=1,
        terms=asked,
        expires_at=LATER,
        electorate=VOTERS,
        votes=votes,
        freezes=tuple(freezes),
        asks_opa=asks_opa,
    )


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


def test_opa_lets_through_what_it_was_asked_about_unless_somebody_objected() -> None:
    allow = LetThrough(revision=1)
    no = Vote(person="bo", verb="reject")

    assert status_of(decide(waiting(), allow, NOW)) == "auto_approved"
    assert reason_of(decide(waiting(), LetThrough(revision=2), NOW)) == "superseded"
    assert reason_of(decide(waiting(no, rejects=2), allow, NOW)) == "not_eligible"
    assert reason_of(decide(waiting(asks_opa=False), allow, NOW)) == "not_eligible"
    assert reason_of(decide(waiting(freezes=[FRIDAY]), allow, NOW)) == "not_due"
    assert reason_of(decide(waiting(), allow, LATER)) == "expired"


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
    assert count_seats(missing(state)) == 2


def test_old_card_is_superseded() -> None:
    assert reason_of(says("ana", revision=2)) == "superseded"
    assert status_of(says("ana", revision=1)) == "pending"


@pytest.mark.parametrize(("offset", "counts"), [(timedelta(microseconds=-1), True), (timedelta(0), False)])
def test_law_7_vote_at_the_deadline_is_too_late(offset: timedelta, *, counts: bool) -> None:
    found = decide(waiting(), COMMANDS[0], LATER + offset)

    assert isinstance(found, Transition) is counts
    assert counts or reason_of(found) == "expired"


def test_sweep_expires_only_what_is_due() -> None:
    assert reason_of(decide(waiting(), Expire(), NOW)) == "not_due"
    assert status_of(decide(waiting(), Expire(), LATER)) == "expired"


def test_time_approves_only_where_the_rule_says_so_and_nobody_objected() -> None:
    silent = waiting(on_expire="approve", rejects=2)
    objected = waiting(Vote(person="ana", verb="reject"), on_expire="approve", rejects=2)
    frozen = msgspec.structs.replace(silent, freezes=(FRIDAY,), expires_at=NOW)

    assert status_of(decide(silent, Expire(), LATER)) == "approved"
    assert status_of(decide(objected, Expire(), LATER)) == "expired"
    assert status_of(decide(frozen, Expire(), NOW)) == "expired"


def test_escalated_at_the_end_it_waits_as_long_again_and_no_longer() -> None:
    state = waiting(on_expire="escalate", expires_after_s=4 * 3600)

    once = decide(state, Expire(), LATER)

    assert isinstance(once, Transition)
    assert (once.status, once.is_escalated, once.expires_at) == ("pending", True, LATER + timedelta(hours=4))
    again = msgspec.structs.replace(state, expires_at=once.expires_at, is_extended=True)
    assert status_of(decide(again, Expire(), once.expires_at)) == "expired"


def test_freeze_lets_people_vote_and_lets_nothing_through_before_it_ends() -> None:
    one = Vote(person="bo", verb="approve")
    state = waiting(one, freezes=[FRIDAY])

    completed = says("ana", state=state)

    assert isinstance(completed, Transition)
    assert (completed.status, completed.recorded) == ("pending", Vote(person="ana", verb="approve"))
    assert completed.thaw_at == NOW.replace(hour=13)
    voted = msgspec.structs.replace(state, votes=completed.votes)
    assert status_of(decide(voted, Thaw(), NOW)) == "pending"
    assert status_of(decide(voted, Thaw(), completed.thaw_at)) == "approved"
    assert decide(state, Thaw(), completed.thaw_at) == Replay()
    assert status_of(says("cy", "reject", state=voted)) == "rejected"


def test_reject_needs_its_reason_and_its_number_where_the_rule_says_so() -> None:
    state = waiting(rejects=2, reason_required=True)
    spoken = CastVote(vote=Vote(person="ana", verb="reject", reason="not today"))

    assert reason_of(says("ana", "reject", state=state)) == "reason_required"
    once = decide(state, spoken, NOW)
    assert status_of(once) == "pending"
    both = msgspec.structs.replace(state, votes=(Vote(person="bo", verb="reject"),))
    assert status_of(decide(both, spoken, NOW)) == "rejected"


def test_edit_voids_every_vote_and_outdates_every_card() -> None:
    state = waiting(Vote(person="ana", verb="approve"))

    found = decide(state, Edit(person="di", revision=1), NOW)

    assert isinstance(found, Transition)
    assert (found.revision, found.votes) == (2, ())
    after = msgspec.structs.replace(state, revision=2, votes=())
    assert reason_of(says("bo", revision=1, state=after)) == "superseded"
    assert reason_of(decide(state, Edit(person="nobody"), NOW)) == "not_eligible"


def test_who_asked_takes_it_back_and_nobody_else() -> None:
    assert status_of(decide(waiting(), Cancel(person="di"), NOW)) == "cancelled"
    assert reason_of(decide(waiting(), Cancel(person="ana"), NOW)) == "not_eligible"
    assert status_of(decide(waiting(), Cancel(by_right=True), NOW)) == "cancelled"


def test_yes_is_revoked_before_it_is_carried_out_and_never_later() -> None:
    assert status_of(decide(waiting(status="approved"), Revoke(person="ana"), NOW)) == "revoked"
    assert reason_of(decide(waiting(status="approved"), Revoke(person="eve"), NOW)) == "not_eligible"
    assert reason_of(decide(waiting(status="executing"), Revoke(person="ana"), NOW)) == "too_late"


@pytest.mark.parametrize(
    ("status", "claimed", "confirmed", "failed", "given_up"),
    [
        ("approved", "executing", None, None, None),
        ("auto_approved", "executing", None, None, None),
        ("executing", "replay", "executed", "failed", "dead"),
        ("failed", "executing", None, None, "dead"),
        ("rejected", "replay", "rejected", "replay", "rejected"),
        ("pending", None, None, None, None),
        ("executed", None, None, None, None),
        ("superseded", None, None, None, None),
    ],
)
def test_effect_moves_a_yes_and_never_a_no(
    status: Status, claimed: str | None, confirmed: str | None, failed: str | None, given_up: str | None
) -> None:
    for command, expected in (
        (ClaimEffect(), claimed),
        (ConfirmEffect(), confirmed),
        (FailEffect(), failed),
        (GiveUpEffect(), given_up),
    ):
        found = decide(waiting(status=status), command, NOW)
        match found:
            case Transition():
                assert found.status == expected
            case Replay():
                assert expected == "replay"
            case Refusal():
                assert (found.reason, expected) == ("no_effect_due", None)


@pytest.mark.parametrize("status", TERMINAL)
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_there_is_no_way_out_of_an_end(status: Status, command: Command) -> None:
    found = decide(waiting(status=status), command, LATER)

    assert not isinstance(found, Transition) or (found.status == status and status in NO)


def test_broken_glass_lets_through_what_nobody_agreed_to_while_there_is_time() -> None:
    frozen = waiting(freezes=[FRIDAY])

    assert status_of(decide(frozen, BreakGlass(person="di"), NOW)) == "approved"
    assert reason_of(decide(frozen, BreakGlass(person="di", obstacle="not of that group"), NOW)) == "not_eligible"
    assert reason_of(decide(frozen, BreakGlass(person="di"), LATER)) == "expired"


def test_every_command_and_status_stands_in_the_table_and_nothing_twice() -> None:
    pairs = [(status, row.command) for row in TABLE for status in row.before]

    assert len(pairs) == len(set(pairs))
    assert {command for _, command in pairs} == {type(command) for command in COMMANDS}
    reached = {status for row in TABLE for status in row.after} | {"auto_approved"}
    assert reached == set(STATUSES)


@given(
    st.sampled_from(STATUSES),
    st.sampled_from(COMMANDS),
    st.lists(st.builds(Vote, person=st.sampled_from(PEOPLE), verb=st.sampled_from(["approve", "reject"])), max_size=3),
    st.integers(0, 8),
)
def test_what_the_table_does_not_list_is_refused(
    status: Status, command: Command, votes: list[Vote], hours: int
) -> None:
    found = decide(waiting(*votes, status=status), command, NOW + timedelta(hours=hours))

    listed = [row for row in TABLE if row.command is type(command) and status in row.before]
    assert listed or isinstance(found, Refusal)
    if isinstance(found, Refusal):
        assert found.detail
