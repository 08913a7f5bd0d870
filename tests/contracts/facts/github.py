"""GitHub."""

from datetime import datetime
from typing import Any

import msgspec

from shared.contracts.events import Event
from tests.contracts.facts import Facts, at, time
from tests.translations import RECEIVED

# Which event, and the path in the body that tells its time.
GITHUB = {
    "pull_request.opened": ("change.opened", "pull_request.created_at"),
    "pull_request.ready_for_review": ("change.ready", "pull_request.updated_at"),
    "pull_request.merged": ("change.merged", "pull_request.merged_at"),
    "pull_request.closed": ("change.closed", "pull_request.closed_at"),
    "review.submitted": ("change.reviewed", "review.submitted_at"),
    "review.dismissed": ("change.reviewed", "pull_request.updated_at"),
    "review_comment.created": ("change.commented", "comment.created_at"),
    "push": ("commits.pushed", "repository.pushed_at"),
    "tag.pushed": ("commits.pushed", "repository.pushed_at"),
    "deployment.created": ("deployment.requested", "deployment.created_at"),
    "pipeline.requested": ("build.started", "workflow_run.run_started_at"),
    "pipeline.in_progress": ("build.started", "workflow_run.run_started_at"),
    "pipeline.completed": ("build.finished", "workflow_run.updated_at"),
    "job.in_progress": ("build.started", "workflow_job.started_at"),
    "job.completed": ("build.finished", "workflow_job.completed_at"),
    "release.published": ("release.published", "release.published_at"),
    "issue.opened": ("ticket.created", "issue.created_at"),
    "issue.closed": ("ticket.closed", "issue.closed_at"),
    "issue.deleted": ("ticket.closed", "issue.updated_at"),
}
GITHUB_UPDATES = [
    "synchronized",
    "reopened",
    "converted_to_draft",
    "edited",
    "labeled",
    "unlabeled",
    "assigned",
    "unassigned",
    "review_requested",
    "review_request_removed",
]
OUTCOMES = {"success": "succeeded", "failure": "failed", "error": "failed"}


def expected(entry: Facts, body: Any) -> list[str]:
    kind = entry["kind"]
    what, _, action = kind.partition(".")
    if kind == "deployment.status":
        return [status_kind(at(body, "deployment_status.state"))]
    if kind == "comment.created":
        return ["change.commented"] if "pull_request" in body["issue"] else []
    if what == "pull_request" and action in GITHUB_UPDATES:
        return ["change.updated"]
    if what == "issue" and kind not in GITHUB:
        return ["ticket.updated"]
    return [GITHUB[kind][0]] if kind in GITHUB else []


def status_kind(state: str) -> str:
    return "deployment.started" if state == "in_progress" else "deployment.finished"


def facts(entry: Facts, body: Any, event: Event) -> Facts:
    repository = body["repository"]["full_name"]
    found = {
        "change": change_facts,
        "commits": push_facts,
        "build": build_facts,
        "deployment": deployment_facts,
        "release": release_facts,
        "ticket": ticket_facts,
    }[event.kind.partition(".")[0]](body, event)
    owner = "project" if event.kind.startswith("ticket") else "repository"
    return {**found, owner: repository, "occurred_at": github_time(entry["kind"], body) or RECEIVED}


def github_time(kind: str, body: Any) -> datetime | None:
    if kind in ("comment.created", "deployment.status"):
        return time(body["comment" if kind == "comment.created" else "deployment_status"]["created_at"])
    subject = "pull_request" if kind.startswith("pull_request") else "issue"
    return time(at(body, GITHUB[kind][1] if kind in GITHUB else f"{subject}.updated_at"))


def change_facts(body: Any, event: Event) -> Facts:
    if event.kind == "change.commented":
        number = at(body, "issue.number") or at(body, "pull_request.number")
        return {
            "number": number,
            "comment_id": str(body["comment"]["id"]),
            "author": at(body, "comment.user.login", ""),
            "author_kind": kind_of_author(body["comment"]["user"]),
        }
    change = body["pull_request"]
    merged = bool(change.get("merged_at"))
    facts = {
        "number": change["number"],
        "title": change["title"],
        "author": change["user"]["login"],
        "author_kind": kind_of_author(change["user"]),
        "actor": at(change, "merged_by.login") if event.kind == "change.merged" else body["sender"]["login"],
        "action": body["action"],
        "state": "merged" if merged else change["state"],
        "draft": change.get("draft", False),
        "base_ref": change["base"]["ref"],
        "head_ref": change["head"]["ref"],
        "head_sha": change["head"]["sha"],
        "merge_sha": change["merge_commit_sha"] if merged else None,
        "opened_at": time(change.get("created_at")),
        "merged_at": time(change.get("merged_at")),
        "closed_at": time(change.get("closed_at")),
        "labels": tuple(label["name"] for label in change.get("labels", ())),
        "url": change.get("html_url", ""),
    }
    facts |= {name: change.get(name) for name in ("additions", "deletions", "changed_files")}
    if event.kind == "change.reviewed":
        review = body["review"]
        facts |= {"review_id": str(review["id"]), "reviewer": review["user"]["login"], "review_state": review["state"]}
    return facts


def kind_of_author(user: Facts) -> str:
    return "bot" if user.get("type") == "Bot" or user["login"][-5:] == "[bot]" else "human"


def push_facts(body: Any, _: Event) -> Facts:
    kind, _, name = body["ref"].removeprefix("refs/").partition("/")
    return {
        "ref": body["ref"],
        "branch": name if kind == "heads" else "",
        "before": body["before"],
        "after": body["after"],
        "forced": body["forced"],
        "default_branch": body["repository"]["default_branch"],
        "actor": body["sender"]["login"],
        "commits": tuple(
            Same(
                sha=c["id"],
                authored_at=c["timestamp"],
                message=c["message"],
                author=commit_author(c["author"]),
                files=tuple(sorted({*c["added"], *c["modified"], *c["removed"]})),
            )
            for c in body["commits"]
        ),
    }


class Same(dict[str, Any]):
    """Equal to a commit with these facts, its zone included."""

    def __eq__(self, other: object) -> bool:
        commit = msgspec.structs.asdict(other) if isinstance(other, msgspec.Struct) else {}
        written = time(self["authored_at"])
        assert written is not None
        same_zone = commit["authored_at"].utcoffset() == written.utcoffset()
        return same_zone and commit == {**self, "authored_at": written}

    __hash__ = None


def commit_author(author: Facts) -> str:
    return str(author.get("username") or author["name"])


def build_facts(body: Any, event: Event) -> Facts:
    job = body.get("workflow_job")
    run = job or body["workflow_run"]
    facts = {
        "build_id": str(job["run_id"] if job else run["id"]),
        "attempt": run["run_attempt"],
        "job": job["name"] if job else "",
        "name": (run.get("workflow_name") if job else run["name"]) or "",
        "sha": run["head_sha"],
        "branch": run["head_branch"] or "",
        "started_at": time(run["started_at"] if job else run["run_started_at"]),
        "actor": body["sender"]["login"],
        "url": run["html_url"],
    }
    if event.kind == "build.finished":
        facts |= {"outcome": OUTCOMES[run["conclusion"]], "platform_outcome": run["conclusion"]}
    return facts


def deployment_facts(body: Any, event: Event) -> Facts:
    deployment = body["deployment"]
    status = body.get("deployment_status", {})
    facts = {
        "deployment_id": str(deployment["id"]),
        "environment": status.get("environment") or deployment["environment"],
        "sha": deployment["sha"],
        "ref": deployment["ref"],
        "task": deployment["task"],
        "creator": deployment["creator"]["login"],
        "actor": body["sender"]["login"],
    }
    if event.kind == "deployment.finished":
        facts |= {"outcome": OUTCOMES[status["state"]], "platform_outcome": status["state"]}
    return facts


def release_facts(body: Any, _: Event) -> Facts:
    release = body["release"]
    return {
        "tag": release["tag_name"],
        "name": release["name"] or "",
        "target": release["target_commitish"],
        "prerelease": release["prerelease"],
        "author": release["author"]["login"],
        "url": release["html_url"],
    }


def ticket_facts(body: Any, _: Event) -> Facts:
    issue = body["issue"]
    return {
        "key": f"#{issue['number']}",
        "title": issue["title"],
        "state": "closed" if body["action"] == "deleted" else issue.get("state", "open"),
        "action": body["action"],
        "author": issue["user"]["login"],
        "actor": body["sender"]["login"],
        "labels": tuple(label["name"] for label in issue.get("labels", ())),
        "opened_at": time(issue["created_at"]),
        "closed_at": time(issue["closed_at"]),
        "url": issue["html_url"],
    }
