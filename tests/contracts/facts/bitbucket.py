"""Bitbucket Cloud and Data Center."""

from typing import Any

from normalizer.times import instant
from shared.contracts.events import Event
from tests.contracts.facts import Facts, at

KINDS = {
    "pull_request.opened": "change.opened",
    "pull_request.updated": "change.updated",
    "pull_request.merged": "change.merged",
    "pull_request.closed": "change.closed",
    "review.approved": "change.reviewed",
    "review.unapproved": "change.reviewed",
    "push": "commits.pushed",
    "tag.pushed": "commits.pushed",
    "commit_status": "build.started",
    "issue.opened": "ticket.created",
    "issue.updated": "ticket.updated",
}
COMMENTS = ("comment.created", "comment.added")


def expected(entry: Facts, body: Any) -> list[str]:
    if entry["kind"] in COMMENTS:
        return ["change.commented"] if "pullrequest" in body or "pullRequest" in body else []
    return [KINDS[entry["kind"]]] if entry["kind"] in KINDS else []


def facts(_: Facts, body: Any, event: Event) -> Facts:
    if "pullRequest" in body:
        change = body["pullRequest"]
        target = change["toRef"]["repository"]
        found: Facts = {"repository": f"{target['project']['key']}/{target['slug']}", "number": change["id"]}
        if event.kind == "change.commented":
            return found | {"comment_id": str(body["comment"]["id"])}
        return found | {
            "title": change["title"],
            "head_sha": change["fromRef"]["latestCommit"],
            "base_ref": change["toRef"]["displayId"],
            "actor": body["actor"]["name"],
            "opened_at": instant(change["createdDate"]),
        }
    found = {"repository": body["repository"]["full_name"]}
    match event.kind.partition(".")[0]:
        case "ticket":
            return {"key": f"#{body['issue']['id']}", "title": body["issue"]["title"]}
        case "build":
            status = body["commit_status"]
            return found | {"name": status["name"], "started_at": instant(status["created_on"])}
        case "commits":
            return found | {"after": body["push"]["changes"][0]["new"]["target"]["hash"]}
    change = body["pullrequest"]
    if event.kind == "change.commented":
        return found | {"number": change["id"], "comment_id": str(body["comment"]["id"])}
    return found | {
        "number": change["id"],
        "title": change["title"],
        "head_sha": change["source"]["commit"]["hash"],
        "head_ref": change["source"]["branch"]["name"],
        "opened_at": instant(change["created_on"]),
        "merge_sha": at(change, "merge_commit.hash") if event.kind == "change.merged" else None,
    }
