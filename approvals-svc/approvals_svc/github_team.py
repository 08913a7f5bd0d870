"""Teams of GitHub in groups of the policy: teams of the catalog under a mark, while their members are known. Pure."""

import re
from collections.abc import Iterable
from math import inf
from typing import NamedTuple

import msgspec

from shared.catalog import Catalog, Team

MARK = "github:"
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})/[A-Za-z0-9_-]{1,100}")  # organization/slug


class Members(NamedTuple):
    """`logins` as GitHub said them `age_s` ago; infinite: never. `problem`: why they were not read since."""

    team: str
    logins: tuple[str, ...]
    age_s: float
    problem: str = ""


def marked(team: str) -> str:
    """The name of a team of GitHub among those of the catalog."""
    return f"{MARK}{team.lower()}"


def is_marked(team: str) -> bool:
    return team.startswith(MARK)


def named(teams: Iterable[str]) -> set[str]:
    """Those of GitHub among these, without their mark."""
    return {team.removeprefix(MARK) for team in teams if is_marked(team)}


def fresh(known: Iterable[Members], *, since_s: float, stale_after_s: float) -> tuple[Members, ...]:
    """Those that are not too old yet, `since_s` after they were looked at."""
    return tuple(each for each in known if each.age_s + since_s < stale_after_s)


def in_words(known: Members, *, since_s: float, stale_after_s: float) -> str:
    age_s = known.age_s + since_s
    ignored = ": too old, so nobody is in it" if age_s >= stale_after_s else ""
    problem = f"; {known.problem}" if known.problem else ""
    if age_s == inf:
        return f"not read yet, so nobody is in it{problem}"
    return f"{len(known.logins)} members, read {age_s:.0f} s ago{ignored}{problem}"


def within(catalog: Catalog, known: Iterable[Members]) -> Catalog:
    """With these teams. Whoever has no account in the catalog is nobody."""
    return msgspec.structs.replace(catalog, teams=(*catalog.teams, *(_team(catalog, each) for each in known)))


def _team(catalog: Catalog, known: Members) -> Team:
    people = (catalog.person("github", login) for login in known.logins)
    return Team(name=marked(known.team), members=tuple(dict.fromkeys(person.name for person in people if person)))
