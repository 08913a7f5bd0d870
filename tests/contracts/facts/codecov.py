"""Codecov."""

from typing import Any

from shared.contracts.events import Event
from tests.contracts.facts import Facts


def expected(_: Facts, __: Any) -> list[str]:
    return ["quality.reported"]


def facts(_: Facts, body: Any, event: Event) -> Facts:
    return {
        "repository": "group/subgroup1/subsubgroup/proj",
        "sha": body["head"]["commitid"],
        "branch": body["head"]["branch"],
        "coverage": 60.0,
        "coverage_base": 50.0,
        "number": None,
    }
