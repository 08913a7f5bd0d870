"""What is known of a thing, whatever the order it was told in, and whether that acts (law 9). Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache, reduce
from operator import or_
from types import GenericAlias
from typing import Any, Literal, TypeAlias

import msgspec

from shared.contracts.events import (
    Alert,
    AlertFired,
    AlertResolved,
    Approval,
    ApprovalDecided,
    ApprovalEscalated,
    ApprovalExecuted,
    ApprovalExpired,
    ApprovalReminded,
    ApprovalRequested,
    ApprovalSummarized,
    ApprovalVoted,
    Build,
    BuildFinished,
    Bulletin,
    Change,
    ChangeClosed,
    ChangeMerged,
    ChangeOpened,
    ChangeReady,
    ChangeReviewed,
    ChangeUpdated,
    Deployment,
    DeploymentFinished,
    DeploymentRequested,
    DeploymentStarted,
    Event,
    Incident,
    IncidentAcknowledged,
    IncidentNoted,
    IncidentOpened,
    IncidentReopened,
    IncidentResolved,
    Nudge,
    QualityReported,
    ReleasePublished,
)

ThingKind = Literal[
    "deployment",
    "incident",
    "approval",
    "nudge",
    "summary",
    "bulletin",
    "change",
    "build",
    "alert",
    "quality",
    "release",
]
# What nobody has to act on.
NEWS: tuple[ThingKind, ...] = ("change", "build", "alert", "quality", "release")
HeldReason = Literal["origin", "stale", "no_channel"]
ThingEvent: TypeAlias = (
    Deployment
    | Incident
    | Approval
    | Nudge
    | ApprovalSummarized
    | Bulletin
    | Change
    | Build
    | Alert
    | QualityReported
    | ReleasePublished
)
Content: TypeAlias = Mapping[str, ThingEvent]  # slot -> the one event that fills it

NUDGE = "nudge:"

# Which event of a slot counts: the first or the last that happened; of approvals, the highest version.
SLOTS: Mapping[type[Event], tuple[str, Literal["first", "last"]]] = {
    DeploymentRequested: ("requested", "first"),
    DeploymentStarted: ("started", "first"),
    DeploymentFinished: ("finished", "last"),
    IncidentOpened: ("opened", "first"),
    IncidentAcknowledged: ("acknowledged", "last"),
    IncidentReopened: ("reopened", "last"),
    IncidentResolved: ("resolved", "last"),
    IncidentNoted: ("noted", "last"),
    ApprovalRequested: ("snapshot", "last"),
    ApprovalVoted: ("snapshot", "last"),
    ApprovalReminded: ("snapshot", "last"),
    ApprovalEscalated: ("snapshot", "last"),
    ApprovalDecided: ("snapshot", "last"),
    ApprovalExpired: ("snapshot", "last"),
    ApprovalExecuted: ("snapshot", "last"),
    Nudge: ("nudge", "first"),
    ApprovalSummarized: ("summary", "first"),
    Bulletin: ("bulletin", "first"),
    **dict.fromkeys(
        (ChangeOpened, ChangeUpdated, ChangeReady, ChangeReviewed, ChangeMerged, ChangeClosed), ("snapshot", "last")
    ),
    BuildFinished: ("finished", "last"),
    AlertFired: ("fired", "last"),
    AlertResolved: ("resolved", "last"),
    QualityReported: ("reported", "last"),
    ReleasePublished: ("published", "first"),
}
# By which copy, and when, an event came: not part of what is known.
ARRIVAL = {"origin": "", "delivery": "", "received_at": None, "time_is_received": False}


class Acting(msgspec.Struct, frozen=True, kw_only=True):
    """What may act: origins, and for how long."""

    origins: frozenset[str]
    fresh_for: timedelta


class Posting(msgspec.Struct, frozen=True, kw_only=True):
    """A card of a thing in one place; `is_shown`: people have seen it in some state. `thread`: where its notes go."""

    key: str
    channel: str
    is_shown: bool
    thread: str = "thread"


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    """`cards`: posted or about to be."""

    content: Content
    cards: tuple[Posting, ...] = ()

    @property
    def told(self) -> bool:
        return bool(self.cards)


class Absorbed(msgspec.Struct, frozen=True, kw_only=True):
    """A thing after some events. `acts_by`: the event that calls for a message where there is none yet."""

    content: Content
    changed: bool
    acts_by: ThingEvent | None
    held: tuple[tuple[ThingEvent, HeldReason], ...] = ()


def kind_of_thing(event: ThingEvent) -> ThingKind:
    match event:
        case Deployment():
            return "deployment"
        case Incident():
            return "incident"
        case Approval():
            return "approval"
        case Nudge():
            return "nudge"
        case ApprovalSummarized():
            return "summary"
        case Bulletin():
            return "bulletin"
        case Change():
            return "change"
        case Build():
            return "build"
        case Alert():
            return "alert"
        case QualityReported():
            return "quality"
        case ReleasePublished():
            return "release"


def key(event: ThingEvent) -> str:
    """Things of platforms carry the platform's own id; PostgreSQL takes no NUL."""
    match event:
        case Deployment():
            name = f"deployment:{event.source}:{event.repository}:{event.deployment_id}"
        case Incident():
            name = f"incident:{event.source}:{event.incident_id}"
        case Approval():
            name = f"approval:{event.approval_id}"
        case Nudge():
            name = f"{NUDGE}{event.id}"
        case ApprovalSummarized():
            name = f"summary:{event.team}:{event.week}"
        case Bulletin():
            name = f"bulletin:{event.id}"
        case Change():
            name = f"change:{event.source}:{event.repository}:{event.number}"
        case Build():
            name = f"build:{event.source}:{event.repository}:{event.build_id}:{event.attempt}"
        case Alert():
            name = f"alert:{event.source}:{event.alert_id}"
        case QualityReported():
            name = f"quality:{event.source}:{event.repository or event.project}:{event.sha or event.branch}"
        case ReleasePublished():
            name = f"release:{event.source}:{event.repository}:{event.tag}"
    return name.replace("\x00", "")


def absorb(thing: Thing, events: Sequence[ThingEvent], *, acting: Acting, now: datetime) -> Absorbed:
    """A thing that people were told of is told to its end; else an event must be one that may act.

    That a deployment is wanted is no news yet: its message begins when it does, and one that waits has a card.
    """
    content, acts_by = thing.content, None
    held: list[tuple[ThingEvent, HeldReason]] = []
    for event in events:
        content = merge(content, event)
        if thing.told or acts_by or isinstance(event, DeploymentRequested):
            continue
        reason = hold(event, content, acting=acting, now=now)
        if reason:
            held.append((event, reason))
        else:
            acts_by = event
    return Absorbed(content=content, changed=content != thing.content, acts_by=acts_by, held=tuple(held))


def merge(content: Content, event: ThingEvent) -> Content:
    """Associative and commutative: each slot keeps an extreme of what was ever offered to it."""
    slot, pick = SLOTS[type(event)]
    offered, known = msgspec.structs.replace(event, **ARRIVAL), content.get(slot)
    if known is None:
        return {**content, slot: offered}
    extremer = _place(offered) < _place(known) if pick == "first" else _place(offered) > _place(known)
    return {**content, slot: offered} if extremer else content


def newest_first(content: Content) -> list[ThingEvent]:
    return sorted(content.values(), key=_place, reverse=True)


def hold(event: ThingEvent, content: Content, *, acting: Acting, now: datetime) -> HeldReason | None:
    """Why this event may not act, or None."""
    if event.origin not in acting.origins:
        return "origin"
    if event.occurred_at > now - acting.fresh_for or _waits(content, now) or _is_worth_telling(event, now):
        return None
    return "stale"


def _waits(content: Content, now: datetime) -> bool:
    """A request for a decision stays worth telling until its own deadline."""
    known = content.get("snapshot")
    if not isinstance(known, Approval) or known.status != "pending" or known.expires_at is None:
        return False
    return known.expires_at > now


def _is_worth_telling(event: ThingEvent, now: datetime) -> bool:
    return isinstance(event, Bulletin) and event.until is not None and event.until > now


def _place(event: ThingEvent) -> tuple[int, datetime, str]:
    version = event.version if isinstance(event, Approval) else 0
    return version, event.occurred_at, event.id


def encode(content: Content) -> str:
    return msgspec.json.encode(content).decode()


def decode(stored: str) -> Content:
    """Raises msgspec.ValidationError for what an incompatible version wrote."""
    return _decoder().decode(stored)


@cache
def _decoder() -> msgspec.json.Decoder[dict[str, ThingEvent]]:
    """By the kinds of the table: each struct carries its tag."""
    any_of_the_table: Any = reduce(or_, SLOTS)
    return msgspec.json.Decoder(GenericAlias(dict, (str, any_of_the_table)))
