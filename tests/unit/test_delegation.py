"""Delegation: a delegate takes the giver's seats and no other, never twice, and never past separation of duties."""

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals_svc.decision import CastVote, Decision, Refusal, Replay, State, Transition, Verb, Vote, decide, missing
from approvals_svc.delegation import LONGEST, Delegation, Wish, obstacle
from approvals_svc.eligibility import CATALOG, Account, electorate
from approvals_svc.policy import Terms
from approvals_svc.quorum import All, Requires, Seats, count_seats
from shared.catalog import Catalog, Person
from tests.identities import NOW, graphs

PEOPLE = ("ana", "bo", "cy", "di", "eve")
PLACES = Catalog(people=tuple(Person(name=name) for name in PEOPLE))
RELEASE = Seats(group="release", people=("ana", "bo"), count=2)
SECURITY = Seats(group="security", people=("ana",))
GRAPHS = 300


def away(
    giver: str, delegate: str, *, number: int = 1, groups: tuple[str, ...] = (), services: tuple[str, ...] = ()
) -> Delegation:
    return Delegation(
        id=number,
        giver=giver,
        delegate=delegate,
        starts_at=NOW,
        ends_at=NOW + timedelta(days=1),
        groups=groups,
        services=services,
    )


def waiting(
    requires: Requires, *delegations: Delegation, votes: Sequence[Vote] = (), asked_by: str = "", distinct: bool = False
) -> State:
    asked = Terms(requires=requires, separation=("requester",), rejects=2, distinct_groups=distinct)
    involved = (Account(role="requester", platform=CATALOG, name=asked_by),) if asked_by else ()
    voters = electorate(PLACES, asked, involved, delegations=delegations, service="checkout")
    until = NOW + timedelta(hours=1)
    return State(status="pending", revision=1, terms=asked, expires_at=until, electorate=voters, votes=tuple(votes))


def says(state: State, person: str, verb: Verb = "approve") -> Decision:
    return decide(state, CastVote(vote=Vote(person=person, verb=verb)), NOW)


def after(state: State, *people: str, verbs: Mapping[str, Verb] | None = None) -> State:
    """Whoever is refused has said nothing."""
    for person in people:
        found = says(state, person, (verbs or {}).get(person, "approve"))
        if isinstance(found, Transition):
            state = msgspec.structs.replace(state, status=found.status, votes=found.votes)
    return state


def refusal(found: Decision) -> str:
    assert isinstance(found, Refusal)
    return found.detail


def test_delegate_takes_the_givers_seat_and_the_vote_says_for_whom() -> None:
    state = after(waiting(RELEASE, away("ana", "di")), "di")

    assert state.votes == (Vote(person="di", verb="approve", on_behalf_of=("ana",)),)
    assert (count_seats(missing(state)), after(state, "bo").status) == (1, "approved")


@pytest.mark.parametrize(
    ("groups", "services", "counts"),
    [
        ((), (), True),
        (("release",), (), True),
        ((), ("checkout",), True),
        (("security",), (), False),
        ((), ("search",), False),
        (("release",), ("search",), False),
    ],
    ids=["all", "group", "service", "other group", "other service", "group of another service"],
)
def test_delegation_counts_where_it_was_given_for(
    groups: tuple[str, ...], services: tuple[str, ...], counts: bool
) -> None:
    found = says(waiting(RELEASE, away("ana", "di", groups=groups, services=services)), "di")

    assert isinstance(found, Transition) == counts


def test_what_was_delegated_to_somebody_is_not_theirs_to_delegate() -> None:
    state = waiting(RELEASE, away("ana", "di"), away("di", "eve"))

    assert refusal(says(state, "eve")) == "eve is not in the group release"


@pytest.mark.parametrize("asked_by", ["ana", "di"], ids=["giver asked", "delegate asked"])
def test_law_7_separation_excludes_who_asked_as_giver_and_as_delegate(asked_by: str) -> None:
    assert isinstance(says(waiting(RELEASE, away("ana", "di"), asked_by=asked_by), "di"), Refusal)


def test_givers_own_vote_takes_their_seat_back() -> None:
    state = after(waiting(RELEASE, away("ana", "di")), "di", "ana")

    assert ({vote.person for vote in state.votes}, state.status) == ({"di", "ana"}, "pending")
    assert count_seats(missing(state)) == 1


def test_after_the_giver_or_another_delegate_a_delegate_comes_too_late() -> None:
    given = waiting(RELEASE, away("ana", "di"), away("ana", "eve", number=2))

    assert "voted already" in refusal(says(after(given, "ana"), "di"))
    assert "voted already" in refusal(says(after(given, "eve"), "di"))


def test_one_person_is_one_voice_however_many_they_stand_in_for() -> None:
    both = after(waiting(RELEASE, away("ana", "di"), away("bo", "di", number=2)), "di")
    own = after(waiting(RELEASE, away("ana", "bo")), "bo")

    assert (both.votes[0].on_behalf_of, both.status) == (("ana", "bo"), "pending")
    assert (own.votes[0].on_behalf_of, own.status) == ((), "pending")


def test_member_of_one_group_takes_the_givers_seat_in_another() -> None:
    release = msgspec.structs.replace(RELEASE, people=("ana", "bo"), count=1)
    state = waiting(All((release, SECURITY)), away("ana", "bo"))

    assert after(state, "bo").status == "approved"
    assert after(waiting(All((release, SECURITY)), away("ana", "bo"), distinct=True), "bo").status == "pending"


def test_vote_of_a_delegation_that_is_over_counts_no_more() -> None:
    cast = after(waiting(RELEASE, away("ana", "di")), "di").votes
    over = waiting(RELEASE, votes=cast)

    assert count_seats(missing(over)) == 2
    assert after(over, "bo").status == "pending"
    assert isinstance(says(over, "di"), Refusal)


def test_same_vote_again_is_the_same_and_a_change_of_mind_keeps_the_seat() -> None:
    given = after(waiting(RELEASE, away("ana", "di"), away("ana", "bo", number=2)), "di", "bo", verbs={"bo": "reject"})

    changed = says(given, "di", "reject")

    assert isinstance(says(given, "di"), Replay)
    assert isinstance(changed, Transition)
    assert (changed.status, changed.votes[-1].on_behalf_of) == ("rejected", ("ana",))


def test_two_votes_for_one_giver_take_their_seat_once() -> None:
    """The first delegation ended, the second was voted by, and then the first was given anew."""
    cast = [Vote(person=name, verb="approve", on_behalf_of=("ana",)) for name in ("di", "eve")]
    state = waiting(RELEASE, away("ana", "di"), away("ana", "eve", number=2), votes=cast)

    assert count_seats(missing(state)) == 1


def test_delegate_takes_no_seat_that_the_giver_has_not() -> None:
    release = msgspec.structs.replace(RELEASE, count=1)

    assert after(waiting(All((release, SECURITY)), away("bo", "di")), "di").status == "pending"


def test_same_vote_again_counts_for_who_delegated_since() -> None:
    both = All((msgspec.structs.replace(RELEASE, count=1), SECURITY))
    before = after(waiting(both), "bo").votes

    state = after(waiting(both, away("ana", "bo"), votes=before), "bo")

    assert (state.status, state.votes[-1].on_behalf_of) == ("approved", ("ana",))


pairs = st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(PEOPLE)).filter(lambda pair: pair[0] != pair[1]))
orders = st.lists(st.tuples(st.sampled_from(PEOPLE), st.sampled_from(("approve", "reject"))), max_size=12)


@given(pairs, orders, st.integers(1, 3), st.booleans())
def test_law_7_no_seat_is_taken_twice_and_no_person_counts_twice(
    given_by: Sequence[tuple[str, str]], order: Sequence[tuple[str, Verb]], count: int, distinct: bool
) -> None:
    """Whoever counts sits in a seat of their own or of a giver who didn't vote: at most one for each member."""
    release = Seats(group="release", people=("ana", "bo", "cy"), count=count)
    delegations = [away(giver, to, number=number) for number, (giver, to) in enumerate(given_by)]
    state = waiting(release, *delegations, distinct=distinct)
    for person, verb in order:
        state = after(state, person, verbs={person: verb}) if state.status == "pending" else state

    for vote in state.votes:
        assert all((giver, vote.person) in given_by for giver in vote.on_behalf_of)
    assert state.status != "approved" or count <= voices(state, "approve")
    assert state.status != "rejected" or voices(state, "reject") >= 2


def voices(state: State, verb: Verb) -> int:
    """People who sit in seats, each in one: their own, or one that its giver left and nobody else took."""
    voted = {vote.person for vote in state.votes}
    said = [vote for vote in state.votes if vote.verb == verb]
    members = {vote.person for vote in said if vote.person in ("ana", "bo", "cy")}
    taken = [giver for vote in state.votes for giver in vote.on_behalf_of if giver not in voted]
    assert len(taken) == len(set(taken))
    return len(members | {vote.person for vote in said if set(vote.on_behalf_of) - voted})


def test_law_7_nobody_who_had_a_part_decides_through_a_delegation(scale: int) -> None:
    """Everybody delegates to anybody, over identities as they grow: neither they nor their seats get in."""
    counted, bypassed = 0, []
    for seed, graph in enumerate(graphs(GRAPHS * scale, seed=3)):
        chance = random.Random(seed)
        names = [person.name for person in graph.catalog.people]
        members = tuple(chance.sample(names, chance.randint(1, len(names))))
        terms = Terms(requires=Seats(group="some", people=members, count=len(names)))
        delegations = [away(*chance.sample(names, 2)) for _ in range(chance.randint(4, 12))]
        voters = electorate(graph.catalog, terms, graph.involved, delegations=delegations)
        until = NOW + timedelta(hours=1)
        state = State(status="pending", revision=1, terms=terms, expires_at=until, electorate=voters)
        for vote in after(state, *chance.sample(names, len(names))).votes:
            counted += bool(vote.on_behalf_of)
            bypassed += [name for name in (vote.person, *vote.on_behalf_of) if name in graph.behind]

    assert bypassed == []
    assert counted > GRAPHS / 10


MOMENT = datetime(2026, 5, 1, 12, tzinfo=UTC)
WISH = Wish(giver="ana", delegate="di", starts_at=MOMENT, ends_at=MOMENT + LONGEST, groups=("release",))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, ""),
        ({"delegate": "ana"}, "for themselves"),
        ({"delegate": "zoe"}, "zoe is no person"),
        ({"groups": ("relase",)}, "there is no group relase"),
        ({"services": ("serch",)}, "there is no service serch"),
        ({"ends_at": MOMENT}, "after it starts"),
        ({"starts_at": MOMENT - timedelta(days=2), "ends_at": MOMENT - timedelta(days=1)}, "after now"),
        ({"ends_at": MOMENT + LONGEST + timedelta(seconds=1)}, "30 days at most"),
    ],
    ids=["30 days", "self", "nobody", "no group", "no service", "no time", "past", "too long"],
)
def test_delegation_is_of_people_in_places_that_exist_for_thirty_days_at_most(
    changed: dict[str, object], why: str
) -> None:
    found = obstacle(
        msgspec.structs.replace(WISH, **changed), MOMENT, people=PEOPLE, groups=("release",), services=("checkout",)
    )

    assert why in found and bool(found) == bool(why)
