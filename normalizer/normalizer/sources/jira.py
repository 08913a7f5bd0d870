"""Jira, Cloud and Data Center: what happens to issues, and versions that are released."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from normalizer.bodies import moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from normalizer.tolerant import Id, needed_id, text, when
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import (
    Event,
    ReleasePublished,
    Ticket,
    TicketClosed,
    TicketCreated,
    TicketUpdated,
)

NO_FACT_FAMILIES = (
    "comment_",
    "worklog_",
    "jira:worklog_",
    "issuelink_",
    "issue_property_",
    "attachment_",
    "sprint_",
    "board_",
    "jira:version_",
    "project_",
    "user_",
    "option_",
)
REST = "/rest/"


class _Person(msgspec.Struct, rename="camel"):
    """Cloud has account ids, servers have names."""

    account_id: str | None = None
    name: str | None = None
    key: str | None = None


class _Named(msgspec.Struct):
    name: str | None = None
    key: str | None = None


class _Status(msgspec.Struct, rename="camel"):
    """Very old servers have no categories: `new`, `indeterminate`, `done`."""

    name: str | None = None
    status_category: _Named | None = None


class _Fields(msgspec.Struct):
    summary: str | None = None
    status: _Status | None = None
    resolution: _Named | None = None
    resolutiondate: Spelling = None
    issuetype: _Named | None = None
    project: _Named | None = None
    priority: _Named | None = None
    labels: list[str] | None = None
    creator: _Person | None = None
    reporter: _Person | None = None
    assignee: _Person | None = None
    created: Spelling = None
    updated: Spelling = None


class _Issue(msgspec.Struct):
    key: str
    id: Id = None
    self: str | None = None
    fields: _Fields | None = None


class _Item(msgspec.Struct, rename="camel"):
    field: str | None = None
    fieldtype: str | None = None
    from_string: str | None = None


class _Changelog(msgspec.Struct):
    items: list[_Item] | None = None


class _Body(msgspec.Struct):
    issue: _Issue
    timestamp: Spelling = None
    issue_event_type_name: str | None = None
    user: _Person | None = None
    changelog: _Changelog | None = None


class _Version(msgspec.Struct):
    name: str


class _VersionBody(msgspec.Struct):
    version: _Version
    timestamp: Spelling = None


class _Head(msgspec.Struct):
    webhookEvent: str  # noqa: N815  # Jira's spelling


Translation: TypeAlias = Callable[[RawDelivery], Event]


def translate(delivery: RawDelivery) -> Disposition:
    """Comments and the like are not read: those of Data Center name no issue. Raises Untranslatable."""
    name = read(delivery.body, _Head).webhookEvent
    if translation := TABLE.get(name):
        return Events((translation(delivery),))
    return Ignored("no_fact" if name.startswith(NO_FACT_FAMILIES) else "unknown_event")


def _created(delivery: RawDelivery) -> Ticket:
    body = read(delivery.body, _Body)
    return _ticket(TicketCreated, body, delivery, "issue_created", _fields(body).created)


def _updated(delivery: RawDelivery) -> Ticket:
    """One event, however many fields changed. It closes where it moved the issue to where work is done."""
    body = read(delivery.body, _Body)
    fields = _fields(body)
    before = _before(body, "status")
    # Without categories it is the resolution that tells, and that it was set now.
    moved = before is not None or (not _category(fields) and _before(body, "resolution") is not None)
    closes = moved and _done(fields)
    reason = {"reason": _name(fields.resolution)} if closes else {}
    kind = TicketClosed if closes else TicketUpdated
    return _ticket(kind, body, delivery, "issue_updated", fields.updated, status_before=before or "", **reason)


def _deleted(delivery: RawDelivery) -> Ticket:
    body = read(delivery.body, _Body)
    return _ticket(TicketClosed, body, delivery, "issue_deleted", None, state="closed", reason="deleted")


def _ticket(
    kind: type[Ticket], body: _Body, delivery: RawDelivery, action: str, changed: Spelling, **particulars: Any
) -> Ticket:
    """`changed` is what the issue itself tells of the time, for senders that leave `timestamp` out."""
    issue, fields = body.issue, _fields(body)
    at = moment("timestamp", body.timestamp) or moment("issue.fields", changed)
    told: dict[str, Any] = {
        "project": (fields.project and fields.project.key) or issue.key.rpartition("-")[0],
        "key": needed_id("issue.key", issue.key),
        "ticket_id": text(issue.id),
        "title": fields.summary or "",
        "ticket_type": _name(fields.issuetype),
        "state": "closed" if _done(fields) else "open",
        "status": (fields.status and fields.status.name) or "",
        "priority": _name(fields.priority),
        "action": body.issue_event_type_name or action,
        "author": _person(fields.creator) or _person(fields.reporter),
        "assignee": _person(fields.assignee),
        "actor": _person(body.user),
        "labels": tuple(fields.labels or ()),
        "opened_at": moment("issue.fields.created", fields.created),
        "closed_at": _closed_at(fields, at if kind is TicketClosed else None),
        "url": _page(issue),
    }
    return kind(**when(delivery, at), **told | particulars)


def _fields(body: _Body) -> _Fields:
    return body.issue.fields or _Fields()


def _before(body: _Body, field: str) -> str | None:
    """What a field of Jira's own said before; None where it didn't change."""
    for item in (body.changelog and body.changelog.items) or ():
        if (item.field or "").lower() == field and item.fieldtype != "custom":
            return item.from_string or ""
    return None


def _category(fields: _Fields) -> str:
    return (fields.status and fields.status.status_category and fields.status.status_category.key) or ""


def _done(fields: _Fields) -> bool:
    if category := _category(fields):
        return category == "done"
    return fields.resolution is not None or moment("issue.fields.resolutiondate", fields.resolutiondate) is not None


def _closed_at(fields: _Fields, closing: datetime | None) -> datetime | None:
    """A resolution may be set before the last status is reached; many workflows set none."""
    resolved = moment("issue.fields.resolutiondate", fields.resolutiondate)
    return (resolved if _done(fields) else None) or closing


def _person(person: _Person | None) -> str:
    return (person and (person.account_id or person.name or person.key)) or ""


def _name(named: _Named | None) -> str:
    return (named and named.name) or ""


def _page(issue: _Issue) -> str:
    """The body links the REST resource alone; the page for people stands beside it, under the same context path."""
    site, rest, _ = (issue.self or "").partition(REST)
    return f"{site}/browse/{issue.key}" if rest else ""


def _released(delivery: RawDelivery) -> ReleasePublished:
    """A version names its project by a number only, and no repository."""
    body = read(delivery.body, _VersionBody)
    at = moment("timestamp", body.timestamp)
    return ReleasePublished(**when(delivery, at), repository="", tag=body.version.name, name=body.version.name)


TABLE: dict[str, Translation] = {
    "jira:issue_created": _created,
    "jira:issue_updated": _updated,
    "jira:issue_deleted": _deleted,
    "jira:version_released": _released,
}
