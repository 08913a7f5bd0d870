"""Jenkins."""

from typing import Any

from shared.contracts.events import Event
from tests.contracts.facts import Facts


def expected(_: Facts, __: Any) -> list[str]:
    return ["build.finished"]


def facts(_: Facts, body: Any, event: Event) -> Facts:
    build = body["build"]
    return {
        "build_id": f"http://localhost:9009:{body['name']}:{build['number']}",
        "outcome": "succeeded",
        "sha": build["scm"]["commit"],
        "branch": build["scm"]["branch"].split("/")[1],
        "repository": build["scm"]["url"].split(":")[1][:-4],
    }
