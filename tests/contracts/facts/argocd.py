"""Argo CD."""

from typing import Any

from normalizer.times import instant
from shared.contracts.events import Event
from tests.contracts.facts import Facts, at


def expected(entry: Facts, _: Any) -> list[str]:
    state = entry["kind"].partition(".")[2]
    if state == "unknown":
        return []
    return ["deployment.started" if state == "started" else "deployment.finished"]


def facts(entry: Facts, body: Any, event: Event) -> Facts:
    app = body["app"]
    state = app["status"]["operationState"]
    found = {
        "service_name": app["metadata"]["name"],
        "environment": app["spec"]["destination"]["namespace"],
        "deployment_id": f"{app['metadata']['uid']}:{instant(state['startedAt']).isoformat()}",  # type: ignore[union-attr]
    }
    if event.kind == "deployment.finished":
        found["outcome"] = "succeeded" if entry["kind"] == "deployment.succeeded" else "failed"
        found["occurred_at"] = instant(state["finishedAt"])
        syncs = [at(state, "syncResult", {}), at(state, "operation.sync", {})]
        revisions = [each for sync in syncs for each in (sync.get("revision"), *sync.get("revisions", ()))]
        found["sha"] = next((each for each in revisions if each and len(each) == 40), "")
    return found
