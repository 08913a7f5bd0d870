"""Statuspage."""

from typing import Any

from shared.contracts.events import Event
from tests.contracts.facts import Facts


def expected(entry: Facts, body: Any) -> list[str]:
    first = len(body["incident"]["incident_updates"]) <= 1
    return ["incident.opened"] if first and body["incident"]["status"] in ("investigating", "identified") else []


def facts(_: Facts, body: Any, event: Event) -> Facts:
    return {"incident_id": body["incident"]["id"], "title": body["incident"]["name"]}
