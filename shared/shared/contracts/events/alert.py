"""Alerts of monitors and error trackers; which of them count as incidents is asked of the catalog by the consumer."""

from shared.contracts.events.base import Event, Instant


class Alert(Event, frozen=True, kw_only=True):
    """`alert_id` is equal for what fires and what resolves; `fired_at` is when it fired, also told by its end.

    `labels` are `name:value`. `service_name` and `environment` are the platform's own words.
    """

    alert_id: str
    title: str
    severity: str = ""
    service_name: str = ""
    environment: str = ""
    rule: str = ""
    labels: tuple[str, ...] = ()
    fired_at: Instant | None = None
    actor: str = ""
    url: str = ""


class AlertFired(Alert, frozen=True, kw_only=True, tag="alert.fired"): ...


class AlertResolved(Alert, frozen=True, kw_only=True, tag="alert.resolved"): ...
