"""Grafana."""

from typing import Any

from normalizer.times import instant
from shared.contracts.events import Event
from tests.contracts.facts import Facts


def expected(entry: Facts, _: Any) -> list[str]:
    return {"alert.firing": ["alert.fired"], "alert.resolved": ["alert.resolved"]}[entry["kind"]]


def facts(_: Facts, body: Any, event: Event) -> Facts:
    if "alerts" in body:
        alert = body["alerts"][0]
        return {"fired_at": instant(alert["startsAt"]), "rule": alert["labels"]["alertname"]}
    return {"alert_id": f"rule:{body['ruleId']}", "title": body["ruleName"], "url": body["ruleUrl"]}
