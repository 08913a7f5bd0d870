"""Standard Webhooks: types that we know, by a table; all others are kept and ignored, and can be translated later."""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from normalizer.bodies import moment, read
from normalizer.disposition import Disposition, Events, Ignored, Untranslatable
from normalizer.times import Spelling
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import Incident, IncidentOpened, IncidentResolved

T = TypeVar("T")


class _Head(msgspec.Struct):
    type: str | None = None
    event_type: str | None = None


# ---- incident.io ---------------------------------------------------------------------------------------------------

ENDED = frozenset({"closed", "canceled", "declined", "merged"})


class _Named(msgspec.Struct):
    name: str | None = None
    category: str | None = None


class _Incident(msgspec.Struct):
    id: str
    name: str | None = None
    reference: str | None = None
    permalink: str | None = None
    incident_status: _Named | None = None
    severity: _Named | None = None
    created_at: Spelling = None
    updated_at: Spelling = None


class _Change(msgspec.Struct):
    """A change of the status holds the incident; what was created is the incident."""

    id: str | None = None
    incident: _Incident | None = None
    new_status: _Named | None = None


def _created(body: bytes, name: str, delivery: RawDelivery) -> Disposition:
    return Events((_incident(IncidentOpened, _of(body, name, _Incident), delivery),))


def _status_updated(body: bytes, name: str, delivery: RawDelivery) -> Disposition:
    change = _of(body, name, _Change)
    incident = change.incident or _of(body, name, _Incident)
    status = change.new_status or incident.incident_status or _Named()
    if status.category not in ENDED:
        return Ignored("no_fact")
    return Events((_incident(IncidentResolved, incident, delivery),))


def _incident(kind: type[Incident], incident: _Incident, delivery: RawDelivery) -> Incident:
    opened_at = moment("created_at", incident.created_at)
    at = opened_at if kind is IncidentOpened else moment("updated_at", incident.updated_at)
    return kind(
        occurred_at=at or delivery.received_at,
        time_is_received=at is None,
        incident_id=incident.id,
        title=incident.name or incident.reference or "",
        status=(incident.incident_status and incident.incident_status.name) or "",
        urgency=(incident.severity and incident.severity.name) or "",
        service_id=delivery.name,
        opened_at=opened_at,
        url=incident.permalink or "",
    )


TYPES: dict[str, Callable[[bytes, str, RawDelivery], Disposition]] = {
    "public_incident.incident_created_v2": _created,
    "public_incident.incident_status_updated_v2": _status_updated,
}

# ---- all -----------------------------------------------------------------------------------------------------------


def translate(delivery: RawDelivery) -> Disposition:
    """Raises Untranslatable."""
    head = read(delivery.body, _Head)
    name = head.type or head.event_type or ""
    row = TYPES.get(name)
    return row(delivery.body, name, delivery) if row else Ignored("unknown_event")


def _of(body: bytes, name: str, shape: type[T]) -> T:
    """incident.io puts what it tells under the type's own name."""
    told = read(body, dict[str, msgspec.Raw])
    if name not in told:
        raise Untranslatable(f"{name} is missing")
    return read(bytes(told[name]), shape)
