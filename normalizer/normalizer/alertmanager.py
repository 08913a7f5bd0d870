"""Groups of alerts as Alertmanager sends them, and Grafana after it: each alert of a group has a life of its own."""

import hashlib

import msgspec

from normalizer.bodies import needed_moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import Alert, AlertFired, AlertResolved

KINDS: dict[str, type[Alert]] = {"firing": AlertFired, "resolved": AlertResolved}
SERVICES = ("service", "app", "job")
ENVIRONMENTS = ("environment", "env")

Words = dict[str, str | int | float | bool | None]


class _Alert(msgspec.Struct, rename="camel"):
    status: str | None = None
    labels: Words | None = None
    annotations: Words | None = None
    starts_at: Spelling = None
    ends_at: Spelling = None
    generator_url: str | None = msgspec.field(name="generatorURL", default=None)
    fingerprint: str | None = None


class _Group(msgspec.Struct):
    alerts: list[_Alert]


def translate_group(delivery: RawDelivery) -> Disposition:
    """In the order of the body. The group's own status is that of none of them. Raises Untranslatable."""
    alerts = read(delivery.body, _Group).alerts
    told = [(KINDS[alert.status], alert) for alert in alerts if alert.status in KINDS]
    if not told:
        return Ignored("no_fact")
    return Events(tuple(_alert(kind, alert, index) for index, (kind, alert) in enumerate(told)))


def _alert(kind: type[Alert], alert: _Alert, index: int) -> Alert:
    """A group that still fires is sent again and again: the fingerprint and the start make each alert one."""
    fired_at = needed_moment(f"alerts[{index}].startsAt", alert.starts_at)
    at = fired_at if kind is AlertFired else needed_moment(f"alerts[{index}].endsAt", alert.ends_at, alert.starts_at)
    labels = {name: str(value) for name, value in (alert.labels or {}).items() if value is not None}
    annotations = alert.annotations or {}
    return kind(
        occurred_at=at,
        alert_id=f"{alert.fingerprint or _fingerprint(labels)}:{fired_at.isoformat()}",
        title=str(annotations.get("summary") or labels.get("alertname", "")),
        severity=labels.get("severity", ""),
        service_name=next((labels[name] for name in SERVICES if name in labels), ""),
        environment=next((labels[name] for name in ENVIRONMENTS if name in labels), ""),
        rule=labels.get("alertname", ""),
        labels=tuple(f"{name}:{value}" for name, value in sorted(labels.items())),
        fired_at=fired_at,
        url=alert.generator_url or "",
    )


def _fingerprint(labels: dict[str, str]) -> str:
    """Bodies of version 3 have none."""
    return hashlib.sha256(msgspec.json.encode(sorted(labels.items()))).hexdigest()[:16]
