"""Linear: what happens to issues."""

from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from normalizer.bodies import moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from normalizer.tolerant import needed_id, when
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import Ticket, TicketClosed, TicketCreated, TicketUpdated

ISSUE = "Issue"
ACTIONS: dict[str, type[Ticket]] = {"create": TicketCreated, "update": TicketUpdated, "remove": TicketClosed}
NO_FACT = frozenset(
    {
        "Attachment",
        "Comment",
        "Customer",
        "CustomerNeed",
        "Cycle",
        "Document",
        "Initiative",
        "InitiativeUpdate",
        "IssueAttachment",
        "IssueLabel",
        "IssueRelation",
        "IssueSLA",
        "Project",
        "ProjectLabel",
        "ProjectUpdate",
        "Reaction",
        "User",
    }
)
CLOSED = frozenset({"completed", "canceled"})
OPEN = frozenset({"triage", "backlog", "unstarted", "started"})


class _Named(msgspec.Struct):
    id: str | None = None
    name: str | None = None
    key: str | None = None
    type: str | None = None


class _Issue(msgspec.Struct, rename="camel"):
    """Older bodies have neither `identifier` nor the nested state and team."""

    id: str
    identifier: str | None = None
    number: int | None = None
    title: str | None = None
    team: _Named | None = None
    team_id: str | None = None
    state: _Named | None = None
    state_id: str | None = None
    priority: int | float | None = None
    priority_label: str | None = None
    creator_id: str | None = None
    assignee_id: str | None = None
    labels: list[_Named] | None = None
    created_at: Spelling = None
    completed_at: Spelling = None
    canceled_at: Spelling = None
    url: str | None = None


class _Before(msgspec.Struct, rename="camel"):
    """The former values of what changed, null where there was none: that a name is there at all is what tells."""

    state_id: str | UnsetType | None = UNSET
    completed_at: Spelling | UnsetType = UNSET
    canceled_at: Spelling | UnsetType = UNSET

    @property
    def moved(self) -> bool:
        return any(value is not UNSET for value in (self.state_id, self.completed_at, self.canceled_at))


class _Body(msgspec.Struct, rename="camel"):
    data: _Issue
    created_at: Spelling = None
    webhook_timestamp: Spelling = None
    updated_from: _Before | None = None
    actor: _Named | None = None
    url: str | None = None


class _Head(msgspec.Struct):
    type: str
    action: str | None = None


def translate(delivery: RawDelivery) -> Disposition:
    """The signed body names its event; the header that does so too is not signed. Raises Untranslatable."""
    head = read(delivery.body, _Head)
    if head.type != ISSUE:
        return Ignored("no_fact" if head.type in NO_FACT else "unknown_event")
    if (kind := ACTIONS.get(head.action or "")) is None:
        return Ignored("unknown_event")
    return Events((_ticket(kind, head.action or "", read(delivery.body, _Body), delivery),))


def _ticket(kind: type[Ticket], action: str, body: _Body, delivery: RawDelivery) -> Ticket:
    issue = body.data
    before = body.updated_from or _Before()
    at = moment("createdAt", body.created_at) or moment("webhookTimestamp", body.webhook_timestamp)
    removed = kind is TicketClosed
    closes = removed or (kind is TicketUpdated and _done(issue) and before.moved)
    reason: dict[str, Any] = {"reason": "deleted" if removed else _ending(issue)} if closes else {}
    return (TicketClosed if closes else kind)(
        **when(delivery, at),
        project=_team(issue),
        key=issue.identifier or f"{_team(issue)}-{issue.number or 0}",
        ticket_id=needed_id("data.id", issue.id),
        title=issue.title or "",
        state="closed" if removed or _done(issue) else "open",
        status=(issue.state and issue.state.name) or issue.state_id or "",
        status_before=before.state_id or "",
        priority=issue.priority_label or ("" if issue.priority is None else f"{issue.priority:g}"),
        action=action,
        author=issue.creator_id or "",
        assignee=issue.assignee_id or "",
        actor=(body.actor and body.actor.id) or "",
        labels=tuple(label.name for label in issue.labels or () if label.name),
        opened_at=moment("data.createdAt", issue.created_at),
        closed_at=_ended_at(issue) or (at if closes else None),
        url=body.url or issue.url or "",
        **reason,
    )


def _team(issue: _Issue) -> str:
    """The key, as it stands before the number; a team without any name is known by its id."""
    return (issue.team and issue.team.key) or (issue.identifier or "").rpartition("-")[0] or issue.team_id or ""


def _done(issue: _Issue) -> bool:
    type_ = issue.state and issue.state.type
    if type_ in CLOSED or type_ in OPEN:
        return type_ in CLOSED
    return _completed_at(issue) is not None or _canceled_at(issue) is not None


def _ending(issue: _Issue) -> str:
    """`completed` or `canceled`."""
    type_ = issue.state and issue.state.type
    if type_ in CLOSED:
        return type_ or ""
    return "canceled" if _completed_at(issue) is None else "completed"


def _ended_at(issue: _Issue) -> datetime | None:
    """Both times may be set where one state followed the other."""
    if not _done(issue):
        return None
    completed_at, canceled_at = _completed_at(issue), _canceled_at(issue)
    return canceled_at or completed_at if _ending(issue) == "canceled" else completed_at or canceled_at


def _completed_at(issue: _Issue) -> datetime | None:
    return moment("data.completedAt", issue.completed_at)


def _canceled_at(issue: _Issue) -> datetime | None:
    return moment("data.canceledAt", issue.canceled_at)
