"""SonarQube."""

from typing import Any

from normalizer.times import instant
from shared.contracts.events import Event
from tests.contracts.facts import Facts, at

GATES = {"OK": "passed", "WARN": "warning", "ERROR": "failed", None: "none"}


def expected(_: Facts, __: Any) -> list[str]:
    return ["quality.reported"]


def facts(_: Facts, body: Any, event: Event) -> Facts:
    conditions = getattr(event, "conditions", ())
    told = {each["metric"]: GATES.get(each["status"], "none") for each in at(body, "qualityGate.conditions", [])}
    assert {each.metric: each.status for each in conditions} == told
    found = {
        "project": body["project"].get("key") or body["project"]["name"],
        "gate": GATES[at(body, "qualityGate.status")],
        "branch": at(body, "branch.name", ""),
    }
    if "changedAt" in body:
        found["occurred_at"] = instant(body["changedAt"])
    return found
