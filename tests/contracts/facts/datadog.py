"""Datadog."""

from datetime import UTC, datetime
from typing import Any

from shared.contracts.events import Event
from tests.contracts.facts import Facts

KINDS = {"alert.firing": "alert.fired", "alert.resolved": "alert.resolved"}


def expected(entry: Facts, _: Any) -> list[str]:
    return [KINDS[entry["kind"]]]


def facts(_: Facts, body: Any, event: Event) -> Facts:
    at = datetime.fromtimestamp(int(body["date"]) / 1000, UTC)
    scope, _, title = body["title"].partition("{")[2].partition("}] ")
    return {
        "occurred_at": at,
        "time_is_received": False,
        "alert_id": f"{title}:{scope}",
        "title": title,
        "labels": tuple(body["event_tags"].split(",")),
        "fired_at": at if event.kind == "alert.fired" else None,
        "url": body["link"],
    }
