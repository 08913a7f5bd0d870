"""CloudEvents."""

from typing import Any

from normalizer.times import instant
from shared.contracts.events import Event
from tests.contracts.facts import Facts


def expected(_: Facts, __: Any) -> list[str]:
    return ["deployment.finished"]


def facts(_: Facts, body: Any, event: Event) -> Facts:
    subject = body["subject"]
    return {
        "service_name": subject["id"],
        "environment": subject["content"]["environment"]["id"],
        "images": (subject["content"]["artifactId"],),
        "occurred_at": instant(body["context"]["timestamp"]),
    }
