"""Catalogs and deployments as they grow, and who was really behind them: what separation of duties has to find."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from approvals_svc.authors import authors
from approvals_svc.decision import CastVote, State, Transition, Vote, decide
from approvals_svc.eligibility import Account, electorate
from approvals_svc.policy import ROLES, Terms
from approvals_svc.quorum import Seats
from shared.catalog import Catalog, Person, Team
from shared.contracts.events import Commit

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
PEOPLE_MAX = 8


class Graph(msgspec.Struct, frozen=True, kw_only=True):
    """`involved` is what platforms told; `behind` the people who were it, whom nobody but the test knows."""

    catalog: Catalog
    involved: tuple[Account, ...]
    behind: frozenset[str]


def graphs(number: int, *, seed: int) -> Iterator[Graph]:
    chance = random.Random(seed)
    for _ in range(number):
        yield grown(chance)


def grown(chance: random.Random) -> Graph:
    """People with none to three accounts on each platform, some of them shared; up to three roles and five commits."""
    people = _people(chance)
    catalog = Catalog(
        people=people,
        teams=(Team(name="all", members=tuple(person.name for person in people)),),
        bots=("dependabot[bot]",),
    )
    acting = chance.sample(people, chance.randint(1, min(4, len(people))))
    involved: list[Account] = []
    for person in acting:
        if chance.random() < 0.6:
            roles = chance.sample(ROLES[:3], chance.randint(1, 3))
            login = _signed_as(person, "github", chance)
            involved += [Account(role=role, platform="github", name=login) for role in roles]
        else:
            involved += authors(_commit(person, chance), platform="github")
    involved.append(Account(role="commit_authors", platform="github", name="dependabot[bot]"))
    return Graph(catalog=catalog, involved=tuple(involved), behind=frozenset(person.name for person in acting))


def bypasses(graph: Graph, *, seed: int) -> Sequence[str]:
    """Whose vote counted although they had a part; everybody tries, in any order."""
    chance = random.Random(seed)
    terms = Terms(
        requires=Seats(group="all", teams=("all",), count=chance.randint(1, 3)),
        escalate_to=Seats(group="all", teams=("all",)),
    )
    voters = electorate(graph.catalog, terms, graph.involved, is_escalated=chance.random() < 0.3)
    state = State(status="pending", revision=1, terms=terms, expires_at=NOW + timedelta(hours=1), electorate=voters)
    names = [person.name for person in graph.catalog.people]
    for name in chance.sample(names, len(names)):
        found = decide(state, CastVote(vote=Vote(person=name, verb="approve")), NOW)
        if isinstance(found, Transition):
            state = msgspec.structs.replace(state, status=found.status, votes=found.votes)
    return sorted({vote.person for vote in state.votes} & graph.behind)


def _people(chance: random.Random) -> tuple[Person, ...]:
    names = [f"p{number}" for number in range(chance.randint(2, PEOPLE_MAX))]
    shared = "pair-login"
    return tuple(
        Person(
            name=name,
            github=(*_several(name, chance), *([shared] if chance.random() < 0.15 else [])),
            email=tuple(f"{account}@acme.example" for account in _several(name, chance)),
        )
        for name in names
    )


def _several(name: str, chance: random.Random) -> tuple[str, ...]:
    return tuple(f"{name}-{number}" for number in range(chance.choice((0, 1, 1, 1, 2, 3))))


def _signed_as(person: Person, platform: str, chance: random.Random) -> str:
    """One of the accounts that the catalog lists for them, however written; without any, one that it doesn't know."""
    listed = person.identities(platform)
    account = chance.choice(listed) if listed else f"unlisted-{person.name}"
    return chance.choice((account, account.upper(), account.title()))


def _commit(person: Person, chance: random.Random) -> Commit:
    """Theirs as author, as co-author by address, or by the address that hides it."""
    login, address = _signed_as(person, "github", chance), _signed_as(person, "email", chance)
    address = address if "@" in address else f"{address}@home.example"
    match chance.choice(("author", "address", "hidden")):
        case "author":
            return Commit(sha="c0ffee0", authored_at=NOW, message="mine", author=login)
        case "address":
            trailer = f"Co-authored-by: Somebody <{address}>"
        case _:
            trailer = f"co-authored-by: Somebody <{chance.choice(('', '123+'))}{login}@users.noreply.github.com>"
    return Commit(sha="c0ffee0", authored_at=NOW, message=f"ours\n\n{trailer}", author="dependabot[bot]")
