"""Sentry. The corpus' metric alerts tell no times, and none of its bodies when an issue was resolved."""

from typing import Any

from shared.contracts.events import Event
from tests.contracts.facts import Facts, at, time

KINDS = {"alert.firing": "alert.fired", "alert.resolved": "alert.resolved"}
SENT = 1700000000  # the header of every payload that tells no time itself


def expected(entry: Facts, _: Any) -> list[str]:
    return [KINDS[entry["kind"]]] if entry["kind"] in KINDS else []


def facts(_: Facts, body: Any, event: Event) -> Facts:
    data = body["data"]
    if "metric_alert" in data:
        found = metric_facts(body, data["metric_alert"])
    elif "event" in data:
        found = event_facts(data["event"])
    else:
        found = issue_facts(body, data["issue"])
    fired = event.kind == "alert.fired"
    return {**found, "time_is_received": False, "fired_at": found["occurred_at"] if fired else None}


def issue_facts(body: Any, issue: Any) -> Facts:
    return {
        "occurred_at": time(issue["firstSeen"] if body["action"] == "created" else SENT),
        "alert_id": issue["id"],
        "title": issue["title"],
        "severity": issue["level"],
        "service_name": at(issue, "project.slug"),
    }


def event_facts(told: Any) -> Facts:
    return {
        "occurred_at": time(told["datetime"]),
        "alert_id": told["issue_id"],
        "title": told["title"],
        "environment": told["environment"],
        "url": told["web_url"],
    }


def metric_facts(body: Any, alert: Any) -> Facts:
    return {
        "occurred_at": time(SENT),
        "alert_id": f"metric:{alert['id']}",
        "title": alert["title"],
        "severity": "" if body["action"] == "resolved" else body["action"],
        "rule": at(alert, "alert_rule.name"),
    }
