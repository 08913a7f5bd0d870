"""PagerDuty webhooks v3: one envelope per step of an incident."""

from datetime import UTC, datetime
from typing import Any

from em.demo.cast import Person
from em.demo.facts import Incident, IncidentStep

HTML_URL = "https://tidewater.pagerduty.example.com"
API_URL = "https://api.pagerduty.example.com"
SUBSCRIPTION = "PTIDEWTR"
STATUS_AFTER = {
    "triggered": "triggered",
    "acknowledged": "acknowledged",
    "resolved": "resolved",
    "reopened": "triggered",
}

Json = dict[str, Any]


def headers(delivery_id: str) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "User-Agent": "PagerDuty-Webhook/V3.0",
        "X-Webhook-Id": delivery_id,
        "X-Webhook-Subscription": SUBSCRIPTION,
    }


def incident_event(incident: Incident, step: IncidentStep, event_id: str) -> Json:
    annotated = step.event == "annotated"
    return {
        "event": {
            "id": event_id,
            "event_type": f"incident.{step.event}",
            "resource_type": "incident",
            "occurred_at": _iso(step.at),
            "agent": _agent(incident, step.by),
            "client": None if step.by else {"name": "Tidewater probes", "url": "https://probes.example.com"},
            "data": _note(incident, step, event_id) if annotated else _incident(incident, step),
        }
    }


def ping(event_id: str, at: datetime) -> Json:
    return {
        "event": {
            "id": event_id,
            "event_type": "pagey.ping",
            "resource_type": "pagey",
            "occurred_at": _iso(at),
            "agent": None,
            "client": None,
            "data": {"message": "Hello from your friend Pagey!", "type": "ping"},
        }
    }


def _incident(incident: Incident, step: IncidentStep) -> Json:
    team = incident.service.team
    urgent = any(s.event == "priority_updated" and s.at <= step.at for s in incident.steps)
    return {
        **_reference("incident", "incidents", incident.id, None),
        "number": incident.number,
        "status": _status(incident, step),
        "incident_key": f"{incident.service.name}/{incident.id.lower()}",
        "created_at": _iso(incident.opened_at),
        "title": incident.title,
        "service": _reference("service_reference", "services", incident.service.pagerduty_id, incident.service.name),
        "assignees": [_person(step.by or team.members[0])],
        "escalation_policy": _reference(
            "escalation_policy_reference",
            "escalation_policies",
            "PEP" + team.pagerduty_id[2:6],
            f"{team.name} on call",
        ),
        "teams": [_reference("team_reference", "teams", team.pagerduty_id, team.name)],
        "priority": _reference("priority_reference", "priorities", "PPRIO1", "P1") if urgent else None,
        "urgency": "high",
        "conference_bridge": None,
        "resolve_reason": None,
    }


def _note(incident: Incident, step: IncidentStep, event_id: str) -> Json:
    """An annotation is not an incident: it nests the incident it belongs to."""
    return {
        "incident": _reference("incident_reference", "incidents", incident.id, incident.title),
        "id": f"PN{event_id[-8:]}",
        "content": step.note,
        "trimmed": False,
        "type": "incident_note",
    }


def _status(incident: Incident, step: IncidentStep) -> str:
    so_far = [s.event for s in incident.steps if s.at <= step.at and s.event in STATUS_AFTER]
    return STATUS_AFTER[so_far[-1]]


def _agent(incident: Incident, by: Person | None) -> Json:
    if by is not None:
        return _person(by)
    return _reference("service_reference", "services", incident.service.pagerduty_id, incident.service.name)


def _person(person: Person) -> Json:
    return _reference("user_reference", "users", person.pagerduty, person.name)


def _reference(kind: str, folder: str, number: str, summary: str | None) -> Json:
    body: Json = {
        "html_url": f"{HTML_URL}/{folder}/{number}",
        "id": number,
        "self": f"{API_URL}/{folder}/{number}",
        "type": kind,
    }
    return body | {"summary": summary} if summary is not None else body


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
