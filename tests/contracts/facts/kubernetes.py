"""Kubernetes."""

from typing import Any

from normalizer.times import instant
from shared.contracts.events import Event
from tests.contracts.facts import Facts, at


def expected(_: Facts, body: Any) -> list[str]:
    now, before = at(body, "data.obj"), at(body, "data.oldObj")
    if now is None or before is None:
        return []
    return ["deployment.started"] if images(now) != images(before) else []


def images(workload: Any) -> set[str]:
    return {each["image"] for each in workload["spec"]["template"]["spec"]["containers"]}


def facts(_: Facts, body: Any, event: Event) -> Facts:
    metadata = body["data"]["obj"]["metadata"]
    return {
        "service_name": metadata["name"],
        "environment": metadata["namespace"],
        "deployment_id": f"{metadata['uid']}:{metadata['generation']}",
        "occurred_at": instant(body["time"]),
        "images": tuple(sorted(images(body["data"]["obj"]))),
    }
