"""Where, when and in whose company a thing is told: what the routes chose, in time. Pure."""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Literal

import msgspec

from notifier.deciders import deciders, hears_the_end, pending
from notifier.living import Content, Posting
from notifier.quiet import next_morning, quiet_until
from notifier.routes import TEAM, About, Choice, Manner, Route, Step, choose, group_key
from notifier.routing import channel_of
from shared.catalog import Catalog
from shared.contracts.events import Approval

How = Literal["now", "group", "quiet", "digest", "nobody", "no_channel"]

URGENT_KINDS = frozenset({"approval", "incident"})
ASKED_KINDS = frozenset({"nudge", "bulletin"})
REQUESTER = "requester"  # stands where the name of a route would
Time = tuple[How, str, str, datetime | None]
NOWHERE: Time = ("no_channel", "neither the catalog nor SLACK_DEFAULT_CHANNEL names a channel", "", None)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """`to`: a channel, or a Slack user (`U…`), who is told directly. With a `due_at` it is gathered until then in
    `pile`, whose things are told together; `how` says why. `why` is for people."""

    to: str
    route: str
    how: How
    why: str
    manner: Manner
    urgent: bool = False
    pile: str = ""
    due_at: datetime | None = None

    @property
    def is_told(self) -> bool:
        return self.how not in ("nobody", "no_channel")

    @property
    def is_now(self) -> bool:
        return self.is_told and self.due_at is None


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    places: tuple[Place, ...]
    steps: tuple[Step, ...]


def place(
    content: Content,
    about: About,
    root: Route,
    catalog: Catalog,
    *,
    default: str,
    now: datetime,
    directly: bool = True,
    undisturbed: Collection[str] = (),
) -> Placed:
    """Each channel and person once: the first route that names it counts. Not `directly`: nobody gets a message of
    their own; those who are `undisturbed` want none."""
    chosen = choose(root, about)
    places: dict[str, Place] = {}
    for choice in chosen.choices:
        to = channel_of(content, catalog, named=choice.manner.channel, default=default)
        at = _place(choice, about, to, now)
        for found in _told(at, content, about, catalog, now, undisturbed) if directly else (at,):
            places.setdefault(found.to if found.is_told else f"{found.how}:{found.to}:{choice.route}", found)
    requester = _requester(content, catalog) if directly else None
    if requester and requester.to not in undisturbed:
        places.setdefault(requester.to, requester)
    return Placed(places=tuple(places.values()), steps=chosen.steps)


def joining(thing: str, cards: Collection[Posting], content: Content, placed: Placed) -> Placed:
    """Who has to hear of what others were told of already: who may decide by now, and at the end who asked for it."""
    known = {posting.channel for posting in cards} | {posting.key for posting in cards}
    places = tuple(
        each
        for each in placed.places
        if each.is_told
        and (each.route == REQUESTER or pending(content))
        and not known & {each.to, f"{thing}@{each.to}"}
    )
    return Placed(places=places, steps=placed.steps)


def _told(
    at: Place, content: Content, about: About, catalog: Catalog, now: datetime, undisturbed: Collection[str]
) -> Iterator[Place]:
    """What waits for a decision comes to those who can give it; to a channel where the route names one, or where nobody
    can be asked."""
    approval = pending(content)
    if approval is None or at.how == "nobody":
        yield at
        return
    found = deciders(approval, catalog, undisturbed)
    if found.instead:
        yield msgspec.structs.replace(at, why=f"{at.why}; here, as {found.instead}")
    elif at.manner.channel != TEAM:
        yield at
    for user in found.told:
        yield _place(Choice(route=at.route, manner=at.manner), about, user, now)
    for user, why in found.left_out.items():
        yield Place(to=user, route=at.route, how="nobody", why=why, manner=at.manner)


def _requester(content: Content, catalog: Catalog) -> Place | None:
    approval = content.get("snapshot")
    to = hears_the_end(approval, catalog) if isinstance(approval, Approval) else ""
    if not to:
        return None
    return Place(to=to, route=REQUESTER, how="now", why="who asked hears the end", manner=Manner(), urgent=True)


def _place(choice: Choice, about: About, to: str, now: datetime) -> Place:
    manner = choice.manner
    urgent = manner.critical or about.kind in URGENT_KINDS
    how, why, pile, due_at = _time(choice, about, now, has_channel=bool(to))
    return Place(to=to, route=choice.route, how=how, why=why, manner=manner, urgent=urgent, pile=pile, due_at=due_at)


def _time(choice: Choice, about: About, now: datetime, *, has_channel: bool) -> Time:
    route, manner = choice
    if about.kind in ASKED_KINDS:
        return ("now", "somebody asked for it", "", None) if has_channel else NOWHERE
    if manner.tell == "nobody":
        return "nobody", "the route tells nobody", "", None
    if not has_channel:
        return NOWHERE
    if manner.critical:
        return "now", "critical", "", None
    if manner.tell == "digest":
        due = next_morning(manner.digest, now)
        due = (quiet_until(manner.quiet, due) if manner.quiet else None) or due
        return "digest", f"in the digest of {due:%Y-%m-%d %H:%M} UTC", "digest", due
    ends = quiet_until(manner.quiet, now) if manner.quiet else None
    if ends:
        return "quiet", f"quiet until {ends:%Y-%m-%d %H:%M} UTC", "quiet", ends
    if manner.group:
        key = group_key(manner.group, about)
        return "group", f"together with others of {key}", f"group:{route}:{key}", now + manner.group.wait
    return "now", "at once", "", None
