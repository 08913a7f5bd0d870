"""Who may decide: exclusion works on persons, never on accounts. Pure."""

from collections.abc import Mapping, Sequence

import msgspec

from approvals_svc.policy import Requirement
from shared.catalog import Catalog, Person

NOBODY = "this account belongs to nobody in the catalog"


class Electorate(msgspec.Struct, frozen=True, kw_only=True):
    """`refusals` names everybody else in the catalog, each with the reason."""

    allowed: frozenset[str]
    refusals: Mapping[str, str] = {}

    def obstacle(self, person: str) -> str:
        """Why this person's vote doesn't count, or nothing. An unmapped account is the person ``."""
        return "" if person in self.allowed else self.refusals.get(person, NOBODY)


def electorate(catalog: Catalog, requirement: Requirement, *, platform: str, requesters: Sequence[str]) -> Electorate:
    """`requesters` are accounts on the platform; one of them is enough to exclude its person."""
    refusals = {
        person.name: obstacle
        for person in catalog.people
        if (obstacle := _obstacle(person, catalog, requirement, platform, requesters))
    }
    return Electorate(allowed=frozenset(person.name for person in catalog.people) - refusals.keys(), refusals=refusals)


def _obstacle(
    person: Person, catalog: Catalog, requirement: Requirement, platform: str, requesters: Sequence[str]
) -> str:
    if requirement.people is not None and person.name not in requirement.people:
        return f"{person.name} is not in the group {requirement.group}"
    bots = {bot.lower() for bot in catalog.bots}
    for login in requesters:
        known = catalog.person(platform, login)
        if known == person:
            return f"{person.name} asked for it as {login}, and who asks doesn't decide"
        # Without an account of theirs to compare with, they may be the requester.
        if known is None and login.lower() not in bots and not person.identities(platform):
            return f"{person.name} has no {platform} account in the catalog, so may be {login}, who asked for it"
    return ""


def slack_users(catalog: Catalog, electorate: Electorate) -> tuple[str, ...]:
    """Slack ids of those who may decide, in the catalog's order."""
    return tuple(user for person in catalog.people if person.name in electorate.allowed for user in person.slack)
