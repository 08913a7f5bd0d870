"""Opsgenie: alerts that are created and closed."""

import msgspec

from normalizer.bodies import moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from normalizer.tolerant import Id, needed_id, tagged, when
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import Alert, AlertFired, AlertResolved

KINDS: dict[str, type[Alert]] = {"Create": AlertFired, "Close": AlertResolved}
NO_FACT = frozenset(
    {
        "Acknowledge",
        "AddDetails",
        "AddNote",
        "AddRecipient",
        "AddResponder",
        "AddTags",
        "AddTeam",
        "AssignOwnership",
        "Delete",
        "Escalate",
        "EscalateNext",
        "RemoveDetails",
        "RemoveTags",
        "Snooze",
        "SnoozeEnded",
        "TakeOwnership",
        "UnAcknowledge",
        "UpdateDescription",
        "UpdateMessage",
        "UpdatePriority",
    }
)


class _Alert(msgspec.Struct, rename="camel"):
    """`created_at` counts milliseconds, `updated_at` nanoseconds."""

    alert_id: Id
    message: str | None = None
    priority: str | None = None
    tags: list[str] | None = None
    entity: str | None = None
    username: str | None = None
    created_at: Spelling = None
    updated_at: Spelling = None


class _Body(msgspec.Struct):
    alert: _Alert


class _Head(msgspec.Struct):
    action: str


def translate(delivery: RawDelivery) -> Disposition:
    """Raises Untranslatable."""
    action = read(delivery.body, _Head).action
    if kind := KINDS.get(action):
        return Events((_alert(kind, read(delivery.body, _Body).alert, delivery),))
    return Ignored("no_fact" if action in NO_FACT else "unknown_event")


def _alert(kind: type[Alert], alert: _Alert, delivery: RawDelivery) -> Alert:
    created_at = moment("alert.createdAt", alert.created_at)
    at = moment("alert.updatedAt", alert.updated_at) or (created_at if kind is AlertFired else None)
    labels = tuple(alert.tags or ())
    return kind(
        **when(delivery, at),
        alert_id=needed_id("alert.alertId", alert.alert_id),
        title=alert.message or "",
        severity=alert.priority or "",
        service_name=tagged("service", labels) or alert.entity or "",
        environment=tagged("env", labels),
        labels=labels,
        fired_at=created_at or (at if kind is AlertFired else None),
        actor=alert.username or "",
    )
