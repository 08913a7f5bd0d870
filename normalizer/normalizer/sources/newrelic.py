"""New Relic: issues of workflows, and incidents of the older notification channels."""

from datetime import datetime

import msgspec

from normalizer.bodies import moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from normalizer.tolerant import Id, needed_id, when
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import Alert, AlertFired, AlertResolved

KINDS: dict[str, type[Alert]] = {
    "created": AlertFired,
    "activated": AlertFired,
    "open": AlertFired,
    "closed": AlertResolved,
}
ACKNOWLEDGED = "acknowledged"


class _Target(msgspec.Struct):
    name: str | None = None


class _Issue(msgspec.Struct, rename="camel"):
    """What workflows send unless their template was changed."""

    id: Id = None
    issue_id: Id = None
    issue_url: str | None = None
    state: str | None = None
    title: str | None = None
    priority: str | None = None
    created_at: Spelling = None
    updated_at: Spelling = None
    alert_policy_names: list[str] | None = None
    alert_condition_names: list[str] | None = None
    impacted_entities: list[str] | None = None
    owner: str | None = None


class _Incident(msgspec.Struct):
    """What the older channels send; templates carry some of its names over."""

    incident_id: Id = None
    incident_url: str | None = None
    current_state: str | None = None
    severity: str | None = None
    timestamp: Spelling = None
    policy_name: str | None = None
    condition_name: str | None = None
    details: str | None = None
    targets: list[_Target] | None = None


def translate(delivery: RawDelivery) -> Disposition:
    """Raises Untranslatable."""
    issue, incident = read(delivery.body, _Issue), read(delivery.body, _Incident)
    state = (issue.state or incident.current_state or "").lower()
    if state == ACKNOWLEDGED:
        return Ignored("no_fact")
    if (kind := KINDS.get(state)) is None:
        return Ignored("unknown_event")
    return Events((_alert(kind, issue, incident, delivery),))


def _alert(kind: type[Alert], issue: _Issue, incident: _Incident, delivery: RawDelivery) -> Alert:
    at = _at(kind, issue, incident)
    conditions = issue.alert_condition_names or _one(incident.condition_name)
    return kind(
        **when(delivery, at),
        alert_id=needed_id("id", issue.id, issue.issue_id, incident.incident_id),
        title=issue.title or incident.condition_name or incident.details or "",
        severity=(issue.priority or incident.severity or "").lower(),
        service_name=_entity(issue, incident),
        rule=conditions[0] if conditions else "",
        labels=tuple(f"policy:{name}" for name in issue.alert_policy_names or _one(incident.policy_name)),
        fired_at=moment("createdAt", issue.created_at) or (at if kind is AlertFired else None),
        actor=issue.owner or "",
        url=issue.issue_url or incident.incident_url or "",
    )


def _at(kind: type[Alert], issue: _Issue, incident: _Incident) -> datetime | None:
    """An issue is created once and activated later: it fired at the earlier time. That is never when it was closed."""
    created_at, updated_at = moment("createdAt", issue.created_at), moment("updatedAt", issue.updated_at)
    reported_at = moment("timestamp", incident.timestamp)
    return created_at or reported_at or updated_at if kind is AlertFired else updated_at or reported_at


def _entity(issue: _Issue, incident: _Incident) -> str:
    """Where several are concerned, none of them stands for the alert."""
    names = issue.impacted_entities or [target.name or "" for target in incident.targets or ()]
    return names[0] if len(names) == 1 else ""


def _one(name: str | None) -> list[str]:
    return [name] if name else []
