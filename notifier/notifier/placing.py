"""Where, when and in whose company a thing is told: what the routes chose, in time. Pure."""

from datetime import datetime
from typing import Literal

import msgspec

from notifier.living import Content
from notifier.quiet import next_morning, quiet_until
from notifier.routes import About, Choice, Manner, Route, Step, choose, group_key
from notifier.routing import channel_of
from shared.catalog import Catalog

How = Literal["now", "group", "quiet", "digest", "nobody", "no_channel"]

URGENT_KINDS = frozenset({"approval", "incident"})
ASKED_KINDS = frozenset({"nudge", "bulletin"})
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


def place(content: Content, about: About, root: Route, catalog: Catalog, *, default: str, now: datetime) -> Placed:
    """Each channel once: the first route that names it counts."""
    chosen = choose(root, about)
    places: dict[str, Place] = {}
    for choice in chosen.choices:
        to = channel_of(content, catalog, named=choice.manner.channel, default=default)
        found = _place(choice, about, to, now)
        places.setdefault(found.to if found.is_told else f"{found.how}:{choice.route}", found)
    return Placed(places=tuple(places.values()), steps=chosen.steps)


def _place(choice: Choice, about: About, to: str, now: datetime) -> Place:
    manner = choice.manner
    urgent = manner.critical or about.kind in URGENT_KINDS
    how, why, pile, due_at = _time(manner, about, now, has_channel=bool(to))
    return Place(to=to, route=choice.route, how=how, why=why, manner=manner, urgent=urgent, pile=pile, due_at=due_at)


def _time(manner: Manner, about: About, now: datetime, *, has_channel: bool) -> Time:
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
        return "digest", f"in the digest of {due:%Y-%m-%d %H:%M} UTC", "digest", due
    ends = quiet_until(manner.quiet, now) if manner.quiet else None
    if ends:
        return "quiet", f"quiet until {ends:%Y-%m-%d %H:%M} UTC", "digest", ends
    if manner.group:
        key = group_key(manner.group, about)
        return "group", f"together with others of {key}", f"group:{key}", now + manner.group.wait
    return "now", "at once", "", None
