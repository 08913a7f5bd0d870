"""Statuspage: incidents of a page; maintenance and components are none."""

from typing import Any

import msgspec

from normalizer.bodies import moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import Incident, IncidentOpened, IncidentResolved

OPEN = frozenset({"investigating", "identified"})
RESOLVED = "resolved"
MAINTENANCE = frozenset({"scheduled", "in_progress", "verifying", "completed"})
KNOWN = OPEN | MAINTENANCE | {RESOLVED, "monitoring", "postmortem"}


class _Component(msgspec.Struct):
    name: str | None = None


class _Incident(msgspec.Struct):
    id: str
    name: str | None = None
    status: str | None = None
    impact: str | None = None
    shortlink: str | None = None
    created_at: Spelling = None
    updated_at: Spelling = None
    resolved_at: Spelling = None
    scheduled_for: Spelling = None
    components: list[_Component] | None = None
    incident_updates: list[Any] | None = None


class _Page(msgspec.Struct):
    id: str | None = None


class _Body(msgspec.Struct):
    incident: _Incident | None = None
    component_update: Any = None
    page: _Page | None = None


def translate(delivery: RawDelivery) -> Disposition:
    """Opened by its first update; what comes later says nothing of its life until it is resolved."""
    body = read(delivery.body, _Body)
    incident = body.incident
    if incident is None:
        return Ignored("no_fact" if body.component_update is not None else "unknown_event")
    if incident.scheduled_for or incident.status in MAINTENANCE:
        return Ignored("no_fact")
    if incident.status == RESOLVED:
        return Events((_incident(IncidentResolved, incident, body, delivery),))
    if incident.status in OPEN and len(incident.incident_updates or ()) <= 1:
        return Events((_incident(IncidentOpened, incident, body, delivery),))
    return Ignored("no_fact" if incident.status in KNOWN else "unknown_event")


def _incident(kind: type[Incident], incident: _Incident, body: _Body, delivery: RawDelivery) -> Incident:
    """Components are what the page calls its services."""
    opened_at = moment("incident.created_at", incident.created_at)
    resolved_at = moment("incident.resolved_at", incident.resolved_at)
    updated_at = moment("incident.updated_at", incident.updated_at)
    at = (opened_at if kind is IncidentOpened else resolved_at) or updated_at
    return kind(
        occurred_at=at or delivery.received_at,
        time_is_received=at is None,
        incident_id=incident.id,
        title=incident.name or "",
        status=incident.status or "",
        urgency=incident.impact or "",
        service_id=(body.page and body.page.id) or "",
        service_name=next((each.name for each in incident.components or () if each.name), ""),
        opened_at=opened_at,
        url=incident.shortlink or "",
    )
