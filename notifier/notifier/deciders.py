"""Who hears of an approval: those who can decide as long as it waits, then who asked for it. Pure."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from notifier.living import Content, Posting
from shared.catalog import Catalog
from shared.contracts.events import Approval, ApprovalDecided

DIRECTLY_MAX = 20
UNWANTED = "they want no direct messages"
USER = re.compile(r"[UW][A-Z0-9]+")
VOTED = frozenset({"approved", "executed", "rejected"})
ENDS = VOTED | {"expired", "cancelled", "revoked", "dead"}


class Deciders(NamedTuple):
    """`told`: Slack users. Where it is empty, `instead` is why a channel hears of it.

    `left_out`: Slack users who may decide, or might, and are not told, and why.
    """

    told: tuple[str, ...]
    instead: str = ""
    left_out: Mapping[str, str] = {}


def is_person(place: str) -> bool:
    """A Slack user; a post to one comes as a direct message."""
    return USER.fullmatch(place) is not None


def pending(content: Content) -> Approval | None:
    snapshot = content.get("snapshot")
    return snapshot if isinstance(snapshot, Approval) and snapshot.status == "pending" else None


def deciders(approval: Approval, catalog: Catalog, undisturbed: Collection[str] = ()) -> Deciders:
    """Each person once, by the first of their accounts; those who want no direct messages find it in a channel."""
    told: dict[str, str] = {}
    left_out: dict[str, str] = {}
    requester = _accounts(approval.requested_by, catalog)
    for user in approval.approvers:
        if not is_person(user):
            left_out[user] = "that is no id of a Slack user"
        elif user in requester:
            left_out[user] = "who asks is not asked"
        elif user in undisturbed:
            left_out[user] = UNWANTED
        elif told.setdefault(name := _person(user, catalog), user) != user:
            left_out[user] = f"another account of {name}"
    if len(told) > DIRECTLY_MAX:
        return Deciders((), f"{len(told)} people may decide, more than {DIRECTLY_MAX}", left_out)
    if told:
        return Deciders(tuple(told.values()), "", left_out)
    wanted = UNWANTED in left_out.values()
    instead = "those who may decide want no direct messages" if wanted else "nobody who may decide is known in Slack"
    return Deciders((), instead, left_out)


def hears_the_end(approval: Approval, catalog: Catalog) -> str:
    """The Slack user who asked for it; empty where it goes on, they ended it themselves, or nobody knows them."""
    accounts = [user for user in _accounts(approval.requested_by, catalog) if is_person(user)]
    if approval.status not in ENDS or any(_ended(user, approval, catalog) for user in accounts):
        return ""
    return next(iter(accounts), "")


def can_wait(before: Content, after: Content, cards: Iterable[Posting], catalog: Catalog) -> tuple[str, ...]:
    """Keys of the cards on which a vote is not what their person just did, while it goes on: a workspace takes fifty
    edits a minute, and each vote is shown to all who may decide."""
    asked, asks = pending(before), pending(after)
    if asked is None or asks is None or asked.revision != asks.revision:
        return ()
    new = [vote for vote in asks.votes if vote not in asked.votes]
    return tuple(
        card.key
        for card in cards
        if is_person(card.channel)
        and not any(is_of(card.channel, vote.person, vote.slack_user, catalog) for vote in new)
    )


def voter(user: str, approval: Approval, catalog: Catalog) -> str:
    """The name that this Slack user voted under; empty if they did not."""
    named = (vote.person for vote in approval.votes if user and is_of(user, vote.person, vote.slack_user, catalog))
    return next(named, "")


def is_of(user: str, person: str, slack_user: str, catalog: Catalog) -> bool:
    """Whether a vote of `person` is the one of this Slack user."""
    return user == slack_user or _person(user, catalog) == person


def _ended(requester: str, approval: Approval, catalog: Catalog) -> bool:
    """Whether whoever asked ended it. What is cancelled and tells no cause was taken back; nobody wants it dead."""
    if approval.broken_by and approval.status in VOTED:
        return is_of(requester, approval.broken_by, "", catalog)
    if approval.status in VOTED and approval.votes:
        last = approval.votes[-1]
        return is_of(requester, last.person, last.slack_user, catalog)
    if not isinstance(approval, ApprovalDecided):
        return False
    if approval.ended_by:
        return is_of(requester, approval.ended_by, "", catalog)
    return approval.status == "cancelled" and not approval.cause


def _person(user: str, catalog: Catalog) -> str:
    person = catalog.person("slack", user)
    return person.name if person else user


def _accounts(named: str, catalog: Catalog) -> tuple[str, ...]:
    """Slack accounts of somebody called by name or by an account elsewhere, if that can be only one."""
    exact = catalog.person_named(named)
    found = [exact] if exact else catalog.people_called(named) if named else []
    if not found and is_person(named):
        return (named,)  # who isn't in the catalog yet asked to be
    return found[0].slack if len(found) == 1 else ()
