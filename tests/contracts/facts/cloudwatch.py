"""Amazon SNS and CloudWatch."""

import json
from typing import Any

from normalizer.times import instant
from shared.contracts.events import Event
from tests.contracts.facts import Facts


def expected(entry: Facts, _: Any) -> list[str]:
    return ["alert.fired"] if entry["kind"] == "alert.firing" else []


def facts(_: Facts, body: Any, event: Event) -> Facts:
    alarm = json.loads(body["Message"])
    return {"title": alarm["AlarmName"], "occurred_at": instant(alarm["StateChangeTime"])}
