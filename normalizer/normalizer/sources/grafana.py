"""Grafana: unified alerting speaks as Alertmanager does; the alerts before it tell of one rule each."""

from typing import Any

import msgspec

from normalizer.alertmanager import translate_group
from normalizer.bodies import read
from normalizer.disposition import Disposition, Events, Ignored
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import Alert, AlertFired, AlertResolved

KINDS: dict[str, type[Alert]] = {"alerting": AlertFired, "ok": AlertResolved}
NO_FACT = frozenset({"no_data", "paused", "pending", "unknown"})


class _Legacy(msgspec.Struct, rename="camel"):
    rule_id: int | str
    rule_name: str | None = None
    state: str | None = None
    title: str | None = None
    rule_url: str | None = None
    tags: dict[str, str | None] | None = None


class _Head(msgspec.Struct, rename="camel"):
    alerts: Any = None
    rule_id: Any = None
    state: str | None = None


def translate(delivery: RawDelivery) -> Disposition:
    """Raises Untranslatable."""
    head = read(delivery.body, _Head)
    if head.alerts is not None:
        return translate_group(delivery)
    if head.rule_id is None:
        return Ignored("unknown_event")
    kind = KINDS.get(head.state or "")
    if kind is None:
        return Ignored("no_fact" if head.state in NO_FACT else "unknown_event")
    return Events((_alert(kind, read(delivery.body, _Legacy), delivery),))


def _alert(kind: type[Alert], body: _Legacy, delivery: RawDelivery) -> Alert:
    """No time is told."""
    tags = {name: value for name, value in (body.tags or {}).items() if value}
    return kind(
        occurred_at=delivery.received_at,
        time_is_received=True,
        alert_id=f"rule:{body.rule_id}",
        title=body.rule_name or body.title or "",
        severity=tags.get("severity", ""),
        service_name=tags.get("service", ""),
        rule=body.rule_name or "",
        labels=tuple(f"{name}:{value}" for name, value in sorted(tags.items())),
        fired_at=delivery.received_at if kind is AlertFired else None,
        url=body.rule_url or "",
    )
