"""PagerDuty webhooks v3: what happens to incidents."""

from typing import Any

import msgspec

from normalizer.bodies import Count, moment, needed_moment, read
from normalizer.disposition import Disposition, Events, Ignored, Untranslatable
from normalizer.times import Spelling
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import (
    Incident,
    IncidentAcknowledged,
    IncidentNoted,
    IncidentOpened,
    IncidentReopened,
    IncidentResolved,
)

KINDS: dict[str, type[Incident]] = {
    "incident.triggered": IncidentOpened,
    "incident.acknowledged": IncidentAcknowledged,
    "incident.resolved": IncidentResolved,
    "incident.reopened": IncidentReopened,
    "incident.annotated": IncidentNoted,
}
NO_FACT = frozenset(
    {
        "incident.unacknowledged",
        "incident.escalated",
        "incident.reassigned",
        "incident.delegated",
        "incident.priority_updated",
        "incident.status_update_published",
        "incident.service_updated",
        "incident.conference_bridge.updated",
        "incident.custom_field_values.updated",
    }
)
NO_FACT_FAMILIES = ("incident.responder.", "incident.workflow.", "service.")


class _Reference(msgspec.Struct):
    id: str | None = None
    summary: str | None = None


class _ResolveReason(msgspec.Struct):
    type: str | None = None


class _Data(msgspec.Struct):
    """An incident; or something of an incident (a note), which then stands in `incident`, shortened to a reference."""

    id: str
    title: str | None = None
    summary: str | None = None
    status: str | None = None
    number: Count | None = None
    urgency: str | None = None
    html_url: str | None = None
    created_at: Spelling = None
    service: _Reference | None = None
    resolve_reason: _ResolveReason | None = None
    content: str | None = None
    incident: "_Data | None" = None


class _Event(msgspec.Struct):
    data: _Data
    occurred_at: Spelling = None
    agent: _Reference | None = None


class _Body(msgspec.Struct):
    event: _Event


class _Head(msgspec.Struct):
    event_type: str


class _HeadBody(msgspec.Struct):
    """`messages` are of version 2."""

    event: _Head | None = None
    messages: list[msgspec.Raw] | None = None


def translate(delivery: RawDelivery) -> Disposition:
    """The body names its event itself. Raises Untranslatable."""
    head = read(delivery.body, _HeadBody)
    if head.event is None:
        if head.messages is None:
            raise Untranslatable("event is missing")
        return Ignored("unsupported_version")
    name = head.event.event_type
    if kind := KINDS.get(name):
        return Events((_incident(kind, read(delivery.body, _Body).event),))
    if name == "pagey.ping":
        return Ignored("handshake")
    return Ignored("no_fact" if name in NO_FACT or name.startswith(NO_FACT_FAMILIES) else "unknown_event")


def _incident(kind: type[Incident], event: _Event) -> Incident:
    incident = event.data.incident or event.data
    occurred_at = needed_moment("event.occurred_at", event.occurred_at)
    opened_at = moment("event.data.created_at", incident.created_at)
    service = incident.service or _Reference()
    return kind(
        occurred_at=occurred_at,
        incident_id=incident.id,
        title=incident.title or incident.summary or "",
        status=incident.status or "",
        number=incident.number,
        urgency=incident.urgency or "",
        service_id=service.id or "",
        service_name=service.summary or "",
        actor=(event.agent and event.agent.id) or "",
        # Bodies of 2021 have no `created_at`; an incident is opened by its trigger.
        opened_at=opened_at or (occurred_at if kind is IncidentOpened else None),
        url=incident.html_url or "",
        **_particulars(kind, event.data),
    )


def _particulars(kind: type[Incident], data: _Data) -> dict[str, Any]:
    if kind is IncidentNoted:
        return {"note": data.content or ""}
    reason = data.resolve_reason and data.resolve_reason.type
    if kind is IncidentResolved and reason == "merge_resolve_reason":
        return {"reason": "merged"}
    return {}
