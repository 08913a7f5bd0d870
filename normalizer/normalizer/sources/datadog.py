"""Datadog: monitors that alert and recover. The body is our template, or whatever else an operator wrote."""

import re
from typing import NamedTuple

import msgspec

from normalizer.bodies import form, is_json, moment, read
from normalizer.disposition import Disposition, Events, Ignored
from normalizer.times import Spelling
from normalizer.tolerant import Id, needed_id, tagged, text, when
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import Alert, AlertFired, AlertResolved

SEVERITIES = {
    "triggered": "critical",
    "re-triggered": "critical",
    "warn": "warning",
    "re-warn": "warning",
    "no data": "no_data",
    "re-no data": "no_data",
}
FIRST = frozenset({"triggered", "warn", "no data"})  # the others tell of what goes on
RECOVERIES = frozenset({"recovered", "warn recovered", "no data recovered"})
AGAIN = "renotify"
# `[P2] [Triggered on {host:web-1}] Checkout is slow`: $EVENT_TITLE tells the transition and the scope as well.
TITLE = re.compile(r"(?:\[P[1-5]\] )?\[(?P<transition>[A-Za-z -]+?)(?: on \{(?P<scope>[^}]*)\})?\] (?P<title>.*)")
# A variable that Datadog doesn't know in this place stays as it was written.
VARIABLE = re.compile(r"\$[A-Z][A-Z0-9_.]*")


class _Title(NamedTuple):
    transition: str
    scope: str
    text: str


class _Body(msgspec.Struct):
    """Our template's names; `title` and `event_tags` are of Datadog's own example."""

    alert_id: Id = None
    alert_cycle_key: Id = None
    alert_transition: str | None = None
    alert_title: str | None = None
    title: str | None = None
    date: Spelling = None
    last_updated: Spelling = None
    tags: str | list[str] | None = None
    event_tags: str | list[str] | None = None
    scope: str | None = None
    link: str | None = None


def translate(delivery: RawDelivery) -> Disposition:
    """Raises Untranslatable."""
    body = read(_json(delivery.body), _Body)
    title = _title(_told(body.alert_title) or _told(body.title))
    transition = (_told(body.alert_transition) or title.transition).lower()
    if transition == AGAIN:
        return Ignored("superseded")
    if transition in SEVERITIES:
        return Events((_alert(AlertFired, transition, body, title, delivery),))
    if transition in RECOVERIES:
        return Events((_alert(AlertResolved, transition, body, title, delivery),))
    return Ignored("unknown_event")


def _json(body: bytes) -> bytes:
    return body if is_json(body) else msgspec.json.encode(form(body))


def _alert(kind: type[Alert], transition: str, body: _Body, title: _Title, delivery: RawDelivery) -> Alert:
    at = moment("date", _time(body.date)) or moment("last_updated", _time(body.last_updated))
    labels = _labels(body)
    return kind(
        **when(delivery, at),
        alert_id=_alert_id(body, title),
        title=title.text,
        severity=SEVERITIES.get(transition, ""),
        service_name=tagged("service", labels),
        environment=tagged("env", labels),
        rule=_told(body.alert_id),
        labels=labels,
        fired_at=at if transition in FIRST else None,
        url=_told(body.link),
    )


def _alert_id(body: _Body, title: _Title) -> str:
    """A cycle has a key of its own, from firing to recovery; without it a monitor and what it watches stand for it."""
    monitor = needed_id("alert_id", _told(body.alert_id), title.text)
    within = _told(body.alert_cycle_key) or _told(body.scope) or title.scope
    return f"{monitor}:{within}" if within else monitor


def _title(written: str) -> _Title:
    match = TITLE.fullmatch(written)
    if match is None:
        return _Title("", "", written)
    return _Title(match["transition"], match["scope"] or "", match["title"])


def _labels(body: _Body) -> tuple[str, ...]:
    tags = body.tags if body.tags is not None else body.event_tags
    written = _told(tags).split(",") if isinstance(tags, str) else tags or ()
    return tuple(tag.strip() for tag in written if tag.strip())


def _time(spelling: Spelling) -> Spelling:
    return _told(spelling) if isinstance(spelling, str) else spelling


def _told(value: Id) -> str:
    found = text(value)
    return "" if VARIABLE.fullmatch(found) else found
