"""CircleCI."""

from typing import Any

from normalizer.times import instant
from shared.contracts.events import Event
from tests.contracts.facts import Facts, at

OUTCOMES = {"success": "succeeded", "failed": "failed", "canceled": "cancelled"}


def expected(entry: Facts, _: Any) -> list[str]:
    return ["build.finished"]


def facts(_: Facts, body: Any, event: Event) -> Facts:
    told = body["job"] if body["type"] == "job-completed" else body["workflow"]
    git = at(body, "pipeline.trigger_parameters.git", {})
    return {
        "build_id": at(body, "workflow.id") or f"job:{body['job']['id']}",
        "name": at(body, "workflow.name", ""),
        "job": told["name"] if "job" in body else "",
        "outcome": OUTCOMES[told["status"]],
        "occurred_at": instant(told["stopped_at"]),
        "sha": at(body, "pipeline.vcs.revision") or git["checkout_sha"],
        "branch": at(body, "pipeline.vcs.branch") or git["branch"],
    }
