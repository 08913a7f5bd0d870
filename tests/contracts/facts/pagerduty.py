"""PagerDuty."""

from typing import Any

from shared.contracts.events import Event
from tests.contracts.facts import Facts, time

INCIDENTS = ("incident.opened", "incident.resolved")


def expected(entry: Facts, _: Any) -> list[str]:
    return [entry["kind"]] if entry["kind"] in INCIDENTS else []


def facts(_: Facts, body: Any, event: Event) -> Facts:
    told = body["event"]
    incident = told["data"]
    occurred_at = time(told["occurred_at"])
    return {
        "occurred_at": occurred_at,
        "incident_id": incident["id"],
        "number": incident["number"],
        "title": incident["title"],
        "status": incident["status"],
        "urgency": incident["urgency"],
        "service_id": incident["service"]["id"],
        "service_name": incident["service"]["summary"],
        "actor": told["agent"]["id"],
        "opened_at": occurred_at if event.kind == "incident.opened" else None,
        "url": incident["html_url"],
    }
