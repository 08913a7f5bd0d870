"""Out of office: who votes for whom, where, and until when. Pure."""

from collections.abc import Collection
from datetime import datetime, timedelta

import msgspec

LONGEST = timedelta(days=30)


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """`delegate` shall vote for `giver`. No `groups` or no `services`: wherever the giver may."""

    giver: str
    delegate: str
    starts_at: datetime
    ends_at: datetime
    groups: tuple[str, ...] = ()
    services: tuple[str, ...] = ()


class Delegation(Wish, frozen=True, kw_only=True):
    """A wish that was granted."""

    id: int

    def covers(self, *, group: str, service: str) -> bool:
        return (not self.groups or group in self.groups) and (not self.services or service in self.services)


def obstacle(
    wish: Wish, now: datetime, *, people: Collection[str], groups: Collection[str], services: Collection[str]
) -> str:
    """Why it can't be granted, or nothing; `people`, `groups` and `services` are all that there are."""
    unknown = [*_but(groups, wish.groups, "group"), *_but(services, wish.services, "service")]
    if wish.delegate not in people:
        return f"{wish.delegate} is no person in the catalog"
    if wish.delegate == wish.giver:
        return "nobody votes for themselves by delegation"
    if unknown:
        return f"there is no {unknown[0]}"
    if wish.ends_at <= max(now, wish.starts_at):
        return "it has to end after it starts, and after now"
    if wish.ends_at - wish.starts_at > LONGEST:
        return f"it may last {LONGEST.days} days at most"
    return ""


def _but(known: Collection[str], named: Collection[str], kind: str) -> list[str]:
    return [f"{kind} {name}" for name in named if name not in known]
