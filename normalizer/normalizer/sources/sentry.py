"""Sentry's integration platform: issues, issue alerts and metric alerts."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import msgspec

from normalizer.bodies import moment, read
from normalizer.disposition import Disposition, Events, Ignored, Untranslatable
from normalizer.times import InvalidTime, Spelling, instant
from normalizer.tolerant import Id, needed_id, text, when
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import Alert, AlertFired, AlertResolved

ANY = "*"
CLOCKS_DIFFER_AT_MOST = timedelta(minutes=5)
EVENT_PROJECT = re.compile(r"/projects/[^/]+/([^/]+)/events/")


class _Project(msgspec.Struct):
    slug: str | None = None


class _Actor(msgspec.Struct):
    id: Id = None


class _Issue(msgspec.Struct, rename="camel"):
    id: Id
    title: str | None = None
    level: str | None = None
    project: _Project | None = None
    first_seen: Spelling = None
    permalink: str | None = None
    web_url: str | None = msgspec.field(default=None, name="web_url")


class _IssueData(msgspec.Struct):
    issue: _Issue


class _IssueBody(msgspec.Struct):
    data: _IssueData
    actor: _Actor | None = None


class _Event(msgspec.Struct):
    """`url` is the API's, and the only place that names the project; `tags` are pairs."""

    issue_id: Id = None
    title: str | None = None
    level: str | None = None
    datetime: Spelling = None
    environment: str | None = None
    tags: list[Any] | None = None
    url: str | None = None
    web_url: str | None = None


class _EventData(msgspec.Struct):
    event: _Event
    triggered_rule: str | None = None


class _EventBody(msgspec.Struct):
    data: _EventData


class _Rule(msgspec.Struct):
    name: str | None = None


class _Metric(msgspec.Struct):
    id: Id
    title: str | None = None
    alert_rule: _Rule | None = None
    projects: list[Any] | None = None
    date_started: Spelling = None
    date_closed: Spelling = None


class _MetricData(msgspec.Struct):
    metric_alert: _Metric
    web_url: str | None = None


class _MetricBody(msgspec.Struct):
    action: str
    data: _MetricData
    actor: _Actor | None = None


class _Head(msgspec.Struct):
    """The legacy plugin has no action, and its project at the top."""

    action: str | None = None
    project: Any = None
    project_slug: Any = None


Translation: TypeAlias = Callable[[RawDelivery], Alert]


def translate(delivery: RawDelivery) -> Disposition:
    """The resource stands in a header alone. Raises Untranslatable."""
    if not delivery.body.strip():
        return Ignored("handshake")
    head = read(delivery.body, _Head)
    if head.action is None:
        if head.project is None and head.project_slug is None:
            raise Untranslatable("action is missing")
        return Ignored("unsupported_version")
    resource = delivery.event.partition(".")[0]
    row = TABLE.get((resource, head.action)) or TABLE.get((resource, ANY)) or Ignored("unknown_event")
    return row if isinstance(row, Ignored) else Events((row(delivery),))


def _issue_created(delivery: RawDelivery) -> Alert:
    body = read(delivery.body, _IssueBody)
    return _issue(AlertFired, body, delivery, _first_seen(body) or _sent(delivery, since=None))


def _issue_unresolved(delivery: RawDelivery) -> Alert:
    """Seen again after it was resolved, or opened by hand: when, the body doesn't tell."""
    body = read(delivery.body, _IssueBody)
    return _issue(AlertFired, body, delivery, _sent(delivery, since=_first_seen(body)))


def _issue_resolved(delivery: RawDelivery) -> Alert:
    body = read(delivery.body, _IssueBody)
    return _issue(AlertResolved, body, delivery, _sent(delivery, since=_first_seen(body)))


def _issue(kind: type[Alert], body: _IssueBody, delivery: RawDelivery, at: datetime | None) -> Alert:
    """An issue that comes back keeps its id: when it fired this time is known of what fires alone."""
    issue = body.data.issue
    return kind(
        **when(delivery, at),
        alert_id=needed_id("data.issue.id", issue.id),
        title=issue.title or "",
        severity=issue.level or "",
        service_name=(issue.project and issue.project.slug) or "",
        fired_at=at if kind is AlertFired else None,
        actor=_actor(body.actor),
        url=issue.web_url or issue.permalink or "",
    )


def _first_seen(body: _IssueBody) -> datetime | None:
    return moment("data.issue.firstSeen", body.data.issue.first_seen)


def _event_alert(delivery: RawDelivery) -> Alert:
    """An alert rule of an issue: the same alert as the issue's own."""
    data = read(delivery.body, _EventBody).data
    event = data.event
    at = moment("data.event.datetime", event.datetime) or _sent(delivery, since=None)
    project = EVENT_PROJECT.search(event.url or "")
    return AlertFired(
        **when(delivery, at),
        alert_id=needed_id("data.event.issue_id", event.issue_id),
        title=event.title or "",
        severity=event.level or "",
        service_name=project[1] if project else "",
        environment=event.environment or "",
        rule=data.triggered_rule or "",
        labels=_labels(event.tags),
        fired_at=at,
        url=event.web_url or "",
    )


def _labels(tags: list[Any] | None) -> tuple[str, ...]:
    pairs = [tag for tag in tags or () if isinstance(tag, list) and all(isinstance(part, str) for part in tag)]
    return tuple(":".join(pair) for pair in pairs if len(pair) == 2)


def _metric_fired(delivery: RawDelivery) -> Alert:
    body = read(delivery.body, _MetricBody)
    started_at = _started_at(body)
    return _metric(AlertFired, body, delivery, started_at or _sent(delivery, since=None), severity=body.action)


def _metric_resolved(delivery: RawDelivery) -> Alert:
    body = read(delivery.body, _MetricBody)
    closed_at = moment("data.metric_alert.date_closed", body.data.metric_alert.date_closed)
    return _metric(AlertResolved, body, delivery, closed_at or _sent(delivery, since=_started_at(body)))


def _metric(
    kind: type[Alert], body: _MetricBody, delivery: RawDelivery, at: datetime | None, *, severity: str = ""
) -> Alert:
    alert = body.data.metric_alert
    slugs = [slug for slug in alert.projects or () if isinstance(slug, str)]
    return kind(
        **when(delivery, at),
        # Ids of metric alerts and of issues are both small numbers.
        alert_id=f"metric:{needed_id('data.metric_alert.id', alert.id)}",
        title=alert.title or "",
        severity=severity,
        service_name=slugs[0] if len(slugs) == 1 else "",
        rule=(alert.alert_rule and alert.alert_rule.name) or "",
        fired_at=_started_at(body) or (at if kind is AlertFired else None),
        actor=_actor(body.actor),
        url=body.data.web_url or "",
    )


def _started_at(body: _MetricBody) -> datetime | None:
    return moment("data.metric_alert.date_started", body.data.metric_alert.date_started)


def _sent(delivery: RawDelivery, *, since: datetime | None) -> datetime | None:
    """When Sentry says that it sent this. The header is not signed, so it has to lie between cause and arrival."""
    try:
        sent = instant(delivery.sent)
    except InvalidTime:
        return None
    latest = delivery.received_at + CLOCKS_DIFFER_AT_MOST
    return sent if sent is not None and (since is None or since <= sent) and sent <= latest else None


def _actor(actor: _Actor | None) -> str:
    return text(actor.id) if actor else ""


NO_FACT = Ignored("no_fact")

TABLE: dict[tuple[str, str], Translation | Ignored] = {
    ("installation", ANY): Ignored("handshake"),
    ("issue", "created"): _issue_created,
    ("issue", "unresolved"): _issue_unresolved,
    ("issue", "resolved"): _issue_resolved,
    ("issue", "assigned"): NO_FACT,
    ("issue", "ignored"): NO_FACT,
    ("issue", "archived"): NO_FACT,
    ("event_alert", "triggered"): _event_alert,
    ("metric_alert", "critical"): _metric_fired,
    ("metric_alert", "warning"): _metric_fired,
    ("metric_alert", "resolved"): _metric_resolved,
    ("error", ANY): NO_FACT,
    ("comment", ANY): NO_FACT,
    ("seer", ANY): NO_FACT,
}
