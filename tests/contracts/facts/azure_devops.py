"""Azure DevOps."""

from typing import Any

from normalizer.times import instant
from shared.contracts.events import Event
from tests.contracts.facts import Facts

KINDS = {
    "build.complete": "build.finished",
    "git.push": "commits.pushed",
    "git.pullrequest.merged": "change.merged",
    "git.pullrequest.updated": "change.merged",  # its status is "completed"
}


def expected(_: Facts, body: Any) -> list[str]:
    return [KINDS[body["eventType"]]]


def facts(_: Facts, body: Any, event: Event) -> Facts:
    told = body["resource"]
    if event.kind == "build.finished":
        return {
            "build_id": str(told["id"]),
            "outcome": told["status"],
            "occurred_at": instant(told["finishTime"]),
            "sha": told["sourceGetVersion"].split(":")[-1],
        }
    repository = told["repository"]
    found: Facts = {"repository": f"{repository['project']['name']}/{repository['name']}"}
    if event.kind == "commits.pushed":
        update = told["refUpdates"][0]
        return found | {"ref": update["name"], "after": update["newObjectId"], "before": update["oldObjectId"]}
    return found | {
        "number": told["pullRequestId"],
        "title": told["title"],
        "author": told["createdBy"]["uniqueName"],
        "merge_sha": told["lastMergeCommit"]["commitId"],
        "opened_at": instant(told["creationDate"]),
        "merged_at": instant(told["closedDate"]),
    }
