"""Opsgenie."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared.contracts.events import Event
from tests.contracts.facts import Facts

KINDS = {"Create": "alert.fired", "Close": "alert.resolved"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def expected(_: Facts, body: Any) -> list[str]:
    return [KINDS[body["action"]]]


def facts(_: Facts, body: Any, event: Event) -> Facts:
    alert = body["alert"]
    return {
        "occurred_at": EPOCH + timedelta(microseconds=alert["updatedAt"] // 1000),
        "fired_at": EPOCH + timedelta(milliseconds=alert["createdAt"]),
        "time_is_received": False,
        "alert_id": alert["alertId"],
        "title": alert["message"],
        "severity": alert.get("priority", ""),
        "labels": tuple(alert["tags"]),
        "actor": alert["username"],
    }
