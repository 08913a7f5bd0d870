"""Heroku."""

from typing import Any

from normalizer.times import instant
from shared.contracts.events import Event
from tests.contracts.facts import Facts


def expected(_: Facts, __: Any) -> list[str]:
    return ["deployment.finished"]


def facts(_: Facts, body: Any, event: Event) -> Facts:
    release = body["data"]
    return {
        "deployment_id": f"{release['app']['id']}:{release['version']}",
        "service_name": release["app"]["name"],
        "sha": release["slug"]["commit"],
        "outcome": release["status"],
        "occurred_at": instant(release["updated_at"]),
        "actor": body["actor"]["email"],
        "config_only": False,
    }
