"""GitLab."""

from typing import Any

from normalizer.times import instant
from shared.contracts.events import Event
from tests.contracts.facts import Facts, at

KINDS = {
    "pull_request.opened": "change.opened",
    "pull_request.merged": "change.merged",
    "pull_request.closed": "change.closed",
    "pull_request.reopened": "change.updated",
    "pull_request.synchronized": "change.updated",
    "pull_request.updated": "change.updated",
    "review.approved": "change.reviewed",
    "review.unapproved": "change.reviewed",
    "push": "commits.pushed",
    "tag.pushed": "commits.pushed",
    "pipeline.completed": "build.finished",
    "release.created": "release.published",
    "issue.opened": "ticket.created",
    "issue.reopened": "ticket.updated",
    "issue.updated": "ticket.updated",
}
DEPLOYMENTS = {"success": "deployment.finished", "running": "deployment.started"}


def expected(entry: Facts, body: Any) -> list[str]:
    kind = entry["kind"]
    if kind == "deployment.status":
        return [DEPLOYMENTS[body["status"]]]
    if kind == "comment.created":
        return ["change.commented"] if "merge_request" in body else []
    if kind.startswith("pull_request") and "iid" not in body["object_attributes"]:
        return []  # a body whose names end in blanks: it tells nothing
    return [KINDS[kind]] if kind in KINDS else []


def facts(_: Facts, body: Any, event: Event) -> Facts:
    project = "project" if event.kind.startswith("ticket") else "repository"
    found = {project: body["project"]["path_with_namespace"]}
    attributes = body.get("object_attributes", {})
    match event.kind.partition(".")[0]:
        case "change" if event.kind != "change.commented":
            merged = attributes["state"] == "merged"
            found |= {
                "number": attributes["iid"],
                "title": attributes["title"],
                "actor": body["user"]["username"],
                "base_ref": attributes["target_branch"],
                "head_ref": attributes["source_branch"],
                "head_sha": at(body, "object_attributes.last_commit.id", ""),
                "merge_sha": attributes.get("merge_commit_sha") if merged else None,
                "opened_at": instant(attributes["created_at"]),
            }
        case "change":
            found |= {"number": body["merge_request"]["iid"], "comment_id": str(attributes["id"])}
        case "commits":
            found |= {"after": body["after"], "before": body["before"], "ref": body["ref"]}
            assert [commit.sha for commit in event.commits] == [c["id"] for c in body["commits"]]  # type: ignore[attr-defined]
        case "build":
            found |= {"build_id": str(attributes["id"]), "sha": attributes["sha"], "outcome": "succeeded"}
            found |= {"occurred_at": instant(attributes["finished_at"])}
        case "deployment":
            found |= {
                "deployment_id": str(body["deployment_id"]),
                "environment": body["environment"],
                "sha": body["commit_url"].rpartition("/")[2],
                "occurred_at": instant(body["status_changed_at"]),
            }
        case "release":
            found |= {"tag": body["tag"], "occurred_at": instant(body["released_at"])}
        case "ticket":
            found |= {"key": f"#{attributes['iid']}", "title": attributes["title"]}
    return found
