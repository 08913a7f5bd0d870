"""Seats and who takes them: the tree against counting by hand."""

from itertools import combinations, product

from hypothesis import given
from hypothesis import strategies as st

from approvals_svc.quorum import (
    All,
    Either,
    Requires,
    Seats,
    alternatives,
    count_alternatives,
    fewest,
    in_words,
    missing,
)

PEOPLE = ("ana", "bo", "cy", "di", "eve")
GROUPS = {"release": {"ana", "bo", "cy"}, "sre": {"cy", "di"}, "cto": {"eve"}, "lead": {"ana"}}
TWO = Seats(group="release", count=2)
SRE = Seats(group="sre")
TREE = All((TWO, Either((SRE, Seats(group="cto")))))


def lacks(requires: Requires, *people: str, distinct: bool = False) -> int:
    seats = missing(requires, frozenset(people), lambda each: GROUPS[each.group], distinct=distinct)
    return sum(each.count for each in seats)


def test_tree_in_words_and_numbers() -> None:
    assert in_words(TREE) == "2 of release and (1 of sre or 1 of cto)"
    assert (count_alternatives(TREE), len(alternatives(TREE)), fewest(TREE)) == (2, 2, 3)


def test_either_branch_completes_it() -> None:
    assert lacks(TREE) == 3
    assert lacks(TREE, "ana", "bo") == 1
    assert lacks(TREE, "ana", "bo", "eve") == 0
    assert lacks(TREE, "ana", "bo", "di") == 0
    assert lacks(TREE, "ana", "eve") == 1


def test_one_person_takes_seats_of_two_groups_unless_groups_are_distinct() -> None:
    assert lacks(TREE, "ana", "cy") == 0
    assert lacks(TREE, "ana", "cy", distinct=True) == 1
    assert lacks(TREE, "ana", "cy", "di", distinct=True) == 0


def test_distinct_seats_are_taken_by_whom_others_leave_over() -> None:
    """Greedily ana takes the seat of release, and nobody is left for lead."""
    both = All((Seats(group="release"), Seats(group="lead")))

    assert lacks(both, "ana", "bo", distinct=True) == 0
    assert lacks(both, "ana", distinct=True) == 1


leaves = st.builds(Seats, group=st.sampled_from(sorted(GROUPS)), count=st.integers(1, 3))
trees: st.SearchStrategy[Requires] = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(All, st.lists(inner, min_size=1, max_size=2).map(tuple)),
        st.builds(Either, st.lists(inner, min_size=1, max_size=2).map(tuple)),
    ),
    max_leaves=4,
)


@given(trees, st.sets(st.sampled_from(PEOPLE)), st.booleans())
def test_nothing_is_missing_exactly_when_somebody_can_be_given_every_seat(
    tree: Requires, people: set[str], distinct: bool
) -> None:
    assert (lacks(tree, *people, distinct=distinct) == 0) == _can_agree(tree, people, distinct=distinct)


def _can_agree(tree: Requires, people: set[str], *, distinct: bool) -> bool:
    """By trying: every choice of people for every group."""
    for seats in alternatives(tree):
        choices = [list(combinations(sorted(people & GROUPS[each.group]), each.count)) for each in seats]
        for chosen in product(*choices):
            taken = [person for group in chosen for person in group]
            if not distinct or len(taken) == len(set(taken)):
                return True
    return False
