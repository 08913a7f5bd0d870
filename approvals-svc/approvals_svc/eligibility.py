"""Who may decide: exclusion works on persons, never on accounts. Pure."""

from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType
from typing import TypeAlias

import msgspec

from approvals_svc.delegation import Delegation
from approvals_svc.policy import Role, Terms
from approvals_svc.quorum import Seats, listed, of_catalog
from shared.catalog import Catalog, Person

NOBODY = "this account belongs to nobody in the catalog"
CATALOG = "catalog"  # the platform of accounts that are names of people in the catalog
DID: Mapping[Role, tuple[str, str]] = {
    "requester": ("asked for it", "who asks"),
    "deployment_creator": ("created the deployment", "who deploys"),
    "run_actor": ("started the run", "who starts it"),
    "commit_authors": ("wrote some of it", "who writes it"),
}


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who had a part in what is decided about."""

    role: Role
    platform: str
    name: str


class StandIn(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may take these seats of a giver, as long as the giver doesn't."""

    giver: str
    delegate: str
    seats: frozenset[Seats]


Cast: TypeAlias = Mapping[str, Sequence[str]]  # who voted, in their order, and on whose behalf


class Electorate(msgspec.Struct, frozen=True, kw_only=True):
    """`allowed` may vote for themselves, `groups` says who takes which seats, and `stand_ins` who may for others.

    `refusals` names everybody else in the catalog, each with the reason.
    """

    allowed: frozenset[str]
    refusals: Mapping[str, str] = {}
    groups: Mapping[Seats, frozenset[str]] = {}
    requesters: frozenset[str] = frozenset()
    stand_ins: tuple[StandIn, ...] = ()

    @property
    def voters(self) -> frozenset[str]:
        """For themselves or for others."""
        return self.allowed | {each.delegate for each in self.stand_ins}

    def obstacle(self, person: str, cast: Cast = MappingProxyType({})) -> str:
        """Why this person's vote doesn't count, or nothing. An unmapped account is the person ``."""
        if person in self.allowed or self.behalf(person, cast):
            return ""
        givers = [each.giver for each in self.stand_ins if each.delegate == person]
        if givers:
            return f"{', '.join(givers)} voted already, or somebody else did for them"
        return self.refusals.get(person, NOBODY)

    def behalf(self, person: str, cast: Cast) -> tuple[str, ...]:
        """Whose seats a vote of this person takes: those that aren't taken, and aren't their own anyway."""
        others = {voter: behalf for voter, behalf in cast.items() if voter != person}
        heard = others.keys() | {each.giver for each in self._standing(others)}
        own = {seats for seats, members in self.groups.items() if person in members}
        mine = [each for each in self.stand_ins if each.delegate == person and each.seats - own]
        return tuple(each.giver for each in mine if each.giver not in heard)

    def seated(self, cast: Cast) -> "Electorate":
        """After these votes: whoever stands in for somebody has their seats, and nobody else may stand in."""
        standing = self._standing(cast)
        groups = {
            seats: members | {each.delegate for each in standing if seats in each.seats}
            for seats, members in self.groups.items()
        }
        allowed = self.allowed | {each.delegate for each in standing}
        return msgspec.structs.replace(self, allowed=allowed, groups=groups, stand_ins=())

    def _standing(self, cast: Cast) -> tuple[StandIn, ...]:
        """At most one for each giver, and none for who voted: no seat is taken twice."""
        may = {(each.giver, each.delegate): each for each in self.stand_ins}
        standing: dict[str, StandIn] = {}
        for voter, behalf in cast.items():
            for giver in behalf:
                if giver not in cast and (giver, voter) in may:
                    standing.setdefault(giver, may[giver, voter])
        return tuple(standing.values())

    def members(self, seats: Seats) -> frozenset[str]:
        return self.groups.get(seats, self.allowed)


def electorate(
    catalog: Catalog,
    terms: Terms,
    involved: Sequence[Account],
    *,
    is_escalated: bool = False,
    delegations: Sequence[Delegation] = (),
    service: str = "",
) -> Electorate:
    """One account of somebody involved is enough to exclude its person. `delegations` are those that hold now."""
    members = of_catalog(catalog, more=terms.escalate_to if is_escalated else None)
    groups = {seats: frozenset(members(seats)) for seats in listed(terms.requires)}
    excluding = [account for account in involved if account.role in terms.separation]
    voters = frozenset().union(*groups.values())
    refusals = {
        person.name: obstacle
        for person in catalog.people
        if (obstacle := _not_asked(person, voters, groups) or _separated(person, catalog, excluding))
    }
    allowed = frozenset(person.name for person in catalog.people) - refusals.keys()
    free = [
        each
        for each in delegations
        if each.giver in allowed
        and (delegate := catalog.person_named(each.delegate))
        and not _separated(delegate, catalog, excluding)
    ]
    stand_ins = _stand_ins(free, groups, service)
    delegates = {each.delegate for each in stand_ins}
    return Electorate(
        allowed=allowed,
        refusals={name: why for name, why in refusals.items() if name not in delegates},
        groups=groups,
        stand_ins=stand_ins,
        requesters=frozenset(
            known.name for account in involved if account.role == "requester" and (known := _person(catalog, account))
        ),
    )


def _stand_ins(
    delegations: Sequence[Delegation], groups: Mapping[Seats, Set[str]], service: str
) -> tuple[StandIn, ...]:
    """People pass on what they may take by the catalog, and nothing that was passed to them."""
    passed: dict[tuple[str, str], frozenset[Seats]] = {}
    for each in delegations:
        pair = each.giver, each.delegate
        seats = {s for s in groups if each.giver in groups[s] and each.covers(group=s.group, service=service)}
        if seats:
            passed[pair] = passed.get(pair, frozenset()) | seats
    return tuple(StandIn(giver=giver, delegate=to, seats=seats) for (giver, to), seats in passed.items())


def _not_asked(person: Person, voters: frozenset[str], groups: Mapping[Seats, frozenset[str]]) -> str:
    if person.name in voters:
        return ""
    names = list(dict.fromkeys(seats.group for seats in groups))
    return (
        f"{person.name} is not in the group {names[0]}"
        if len(names) == 1
        else (f"{person.name} is in none of the groups {', '.join(names)}")
    )


def _separated(person: Person, catalog: Catalog, excluding: Sequence[Account]) -> str:
    machines = {name.lower() for name in (*catalog.bots, *catalog.ai_agents)}
    for account in excluding:
        did, who = DID[account.role]
        # Asked of the person: a catalog may list one account under two people, and then neither decides.
        if _owns(person, account):
            return f"{person.name} {did} as {account.name}, and {who} doesn't decide"
        # Without an account of theirs to compare with, they may be the one.
        known = _person(catalog, account)
        if known is None and account.name.lower() not in machines and not person.identities(account.platform):
            return (
                f"{person.name} has no {account.platform} account in the catalog, so may be {account.name}, who {did}"
            )
    return ""


def _owns(person: Person, account: Account) -> bool:
    if account.platform == CATALOG:
        return person.name == account.name
    return account.name.lower() in {identity.lower() for identity in person.identities(account.platform)}


def _person(catalog: Catalog, account: Account) -> Person | None:
    if account.platform == CATALOG:
        return catalog.person_named(account.name)
    return catalog.person(account.platform, account.name)


def slack_users(catalog: Catalog, electorate: Electorate) -> tuple[str, ...]:
    """Slack ids of those who may decide, in the catalog's order."""
    return tuple(user for person in catalog.people if person.name in electorate.voters for user in person.slack)
