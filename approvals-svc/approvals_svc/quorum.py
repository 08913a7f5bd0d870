"""Who has to agree: a tree of and / or over seats. Pure.

A tree is looked at as its alternatives: each is a list of seats that all have to be taken. One person takes several
seats of an alternative, unless groups have to be distinct: then one seat.
"""

from collections.abc import Callable, Sequence, Set
from itertools import product
from typing import TypeAlias

import msgspec

from shared.catalog import Catalog

EVERYBODY = "everybody"


class Seats(msgspec.Struct, frozen=True, kw_only=True, tag="seats"):
    """`count` people of a group; `people` and `teams` None: everybody in the catalog."""

    group: str = ""
    count: int = 1
    people: tuple[str, ...] | None = None
    teams: tuple[str, ...] = ()


class All(msgspec.Struct, frozen=True, tag="and"):
    of: tuple["Requires", ...]


class Either(msgspec.Struct, frozen=True, tag="or"):
    of: tuple["Requires", ...]


Requires: TypeAlias = Seats | All | Either
Alternative: TypeAlias = tuple[Seats, ...]
Members: TypeAlias = Callable[[Seats], Set[str]]


def alternatives(requires: Requires) -> tuple[Alternative, ...]:
    match requires:
        case Seats():
            return ((requires,),)
        case Either(of=branches):
            return tuple(each for branch in branches for each in alternatives(branch))
        case All(of=branches):
            return tuple(sum(chosen, ()) for chosen in product(*map(alternatives, branches)))


def count_alternatives(requires: Requires) -> int:
    """Without writing them out: a file may ask for more than memory holds."""
    match requires:
        case Seats():
            return 1
        case Either(of=branches):
            return sum(map(count_alternatives, branches))
        case All(of=branches):
            number = 1
            for branch in branches:
                number *= count_alternatives(branch)
            return number


def missing(requires: Requires, people: Set[str], members: Members, *, distinct: bool) -> tuple[Seats, ...]:
    """The seats that nobody takes, with how many, in the alternative that lacks the fewest; none: they agree."""
    lacking = [_lacking(each, people, members, distinct=distinct) for each in alternatives(requires)]
    return min(lacking, key=count_seats)


def count_seats(seats: Sequence[Seats]) -> int:
    return sum(each.count for each in seats)


def listed(requires: Requires) -> tuple[Seats, ...]:
    """Every leaf, as written."""
    match requires:
        case Seats():
            return (requires,)
        case All(of=branches) | Either(of=branches):
            return tuple(leaf for branch in branches for leaf in listed(branch))


def fewest(requires: Requires) -> int:
    """How many seats its smallest alternative has."""
    return min(count_seats(each) for each in alternatives(requires))


def in_words(requires: Requires) -> str:
    match requires:
        case Seats(group=group, count=count):
            return f"{count} of {group or EVERYBODY}"
        case All(of=branches):
            return " and ".join(_nested(branch) for branch in branches)
        case Either(of=branches):
            return " or ".join(_nested(branch) for branch in branches)


def of_catalog(catalog: Catalog, *, more: Seats | None = None) -> Members:
    """Who is in a group by this catalog; people of `more` may take every seat."""

    def members(seats: Seats) -> Set[str]:
        everybody = frozenset(person.name for person in catalog.people)
        if seats.people is None and not seats.teams:
            return everybody
        teams = {member for team in catalog.teams if team.name in seats.teams for member in team.members}
        return everybody & (set(seats.people or ()) | teams)

    return (lambda seats: members(seats) | members(more)) if more else members


def _nested(requires: Requires) -> str:
    return in_words(requires) if isinstance(requires, Seats) else f"({in_words(requires)})"


def _lacking(seats: Alternative, people: Set[str], members: Members, *, distinct: bool) -> tuple[Seats, ...]:
    candidates = [sorted(people & members(each)) for each in seats]
    taken = (
        _one_seat_each(seats, candidates)
        if distinct
        else [min(s.count, len(c)) for s, c in zip(seats, candidates, strict=True)]
    )
    return tuple(
        msgspec.structs.replace(each, count=each.count - number)
        for each, number in zip(seats, taken, strict=True)
        if number < each.count
    )


def _one_seat_each(seats: Alternative, candidates: Sequence[Sequence[str]]) -> list[int]:
    """A largest matching (augmenting paths): how many of each group's seats are taken."""
    holder: dict[str, int] = {}  # person -> index of the group whose seat they take
    taken = [0] * len(seats)

    def seat_one(index: int, tried: set[str]) -> bool:
        for person in candidates[index]:
            if person in tried:
                continue
            tried.add(person)
            before = holder.get(person)
            if before is None or (before != index and seat_one(before, tried)):
                holder[person] = index
                return True
        return False

    for index, each in enumerate(seats):
        while taken[index] < each.count and seat_one(index, set()):
            taken[index] += 1
    return taken
