"""New Relic."""

from datetime import UTC, datetime
from typing import Any

from shared.contracts.events import Event
from tests.contracts.facts import Facts
from tests.translations import RECEIVED

KINDS = {"alert.firing": "alert.fired", "alert.resolved": "alert.resolved"}


def expected(entry: Facts, _: Any) -> list[str]:
    return [KINDS[entry["kind"]]]


def facts(_: Facts, body: Any, event: Event) -> Facts:
    """The corpus' closed issue doesn't tell when it was closed."""
    began = datetime.fromtimestamp(body.get("createdAt", body.get("timestamp")) / 1000, UTC)
    fired = event.kind == "alert.fired"
    return {
        "occurred_at": began if fired else RECEIVED,
        "time_is_received": not fired,
        "fired_at": began,
        "alert_id": str(body["id"] if "id" in body else body["incident_id"]),
        "title": body["condition_name"],
        "rule": body["condition_name"],
        "severity": body.get("severity", "").lower(),
        "labels": (f"policy:{body.get('policy_name') or body['alertPolicyNames'][0]}",),
        "url": body.get("incident_url") or body["issueUrl"],
    }
