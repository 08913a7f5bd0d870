"""Flux."""

from typing import Any

from normalizer.times import instant
from shared.contracts.events import Event
from tests.contracts.facts import Facts


def expected(_: Facts, __: Any) -> list[str]:
    return ["deployment.finished"]


def facts(_: Facts, body: Any, event: Event) -> Facts:
    involved = body["involvedObject"]
    revision = body["metadata"]["kustomize.toolkit.fluxcd.io/revision"]
    return {
        "service_name": involved["name"],
        "environment": involved["namespace"],
        "deployment_id": f"{involved['uid']}:{revision}",
        "sha": revision.split("/")[1],
        "ref": revision.split("/")[0],
        "outcome": "failed",
        "occurred_at": instant(body["timestamp"]),
    }
