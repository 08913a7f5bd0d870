"""Amazon EventBridge."""

from typing import Any

from normalizer.times import instant
from shared.contracts.events import Event
from tests.contracts.facts import Facts, at

BUILD_STATES = {"SUCCEEDED": "build.finished", "FAILED": "build.finished", "STARTED": "build.started"}


def expected(entry: Facts, body: Any) -> list[str]:
    if entry["kind"] == "deployment.started":
        return ["deployment.started"]
    state = at(body, "detail.build-status") or at(body, "detail.state")
    return [BUILD_STATES[state]] if state in BUILD_STATES else []


def facts(_: Facts, body: Any, event: Event) -> Facts:
    detail = body["detail"]
    if event.kind.startswith("build"):
        build = detail.get("build-id") or detail["execution-id"]
        return {"build_id": build, "occurred_at": instant(body["time"])}
    return {
        "deployment_id": f"{body['resources'][0]}:{detail['deploymentId']}",
        "environment": "default",
        "service_name": "servicetest",
        "occurred_at": instant(detail["updatedAt"]),
        "rollback": "rolling back" in detail["reason"],
    }
