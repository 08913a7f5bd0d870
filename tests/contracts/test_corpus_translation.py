"""Every recorded payload is translated, and its events hold the facts of the body, read here on another path."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec

from normalizer.disposition import Disposition, Events
from normalizer.translation import translate
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import Event
from tests.translations import RECEIVED, delivery

SOURCES = ("github", "pagerduty", "slack")
Facts = dict[str, Any]

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
INCIDENTS = {"incident.opened": "incident.opened", "incident.resolved": "incident.resolved"}


def test_every_payload_becomes_events_or_is_ignored_with_its_reason(corpus: Path) -> None:
    wrong = [
        f"{entry['file']}: {becomes} is not {expected}"
        for entry, sent, body in payloads(corpus)
        if (becomes := kinds(translate(sent))) != (expected := expected_kinds(entry, body))
    ]

    assert wrong == []


def test_events_hold_the_facts_of_the_body(corpus: Path) -> None:
    wrong = []
    compared = 0
    for entry, sent, body in payloads(corpus):
        disposition = translate(sent)
        for event in disposition.events if isinstance(disposition, Events) else ():
            facts = FACTS[entry["source"]](entry, body, event)
            told = {name: getattr(event, name) for name in facts}
            compared += len(facts)
            wrong += [f"{entry['file']}: {n}: {told[n]!r} != {facts[n]!r}" for n in facts if told[n] != facts[n]]

    assert wrong == []
    assert compared > 500


def test_only_bodies_without_a_time_get_the_time_they_came(corpus: Path) -> None:
    received = {
        entry["file"]
        for entry, sent, _ in payloads(corpus)
        if isinstance(disposition := translate(sent), Events) and any(e.time_is_received for e in disposition.events)
    }

    assert received == {"github/wp.HookPullRequest.json"}


def payloads(corpus: Path) -> Iterator[tuple[Facts, RawDelivery, Any]]:
    for entry in json.loads((corpus / "manifest.json").read_text()):
        if entry["source"] in SOURCES:
            payload = json.loads((corpus / entry["file"]).read_text())
            headers = {name.lower(): value for name, value in payload["headers"].items()}
            sent = delivery(
                entry["source"],
                payload["body"],
                event=headers.get("x-github-event", "unknown"),
                timestamp=headers.get("x-slack-request-timestamp", ""),
                signature=headers.get("x-slack-signature", ""),
            )
            yield entry, sent, decoded(payload["body"])


def decoded(body: str) -> Any:
    return json.loads(body if body.lstrip().startswith("{") else parse_qs(body)["payload"][0])


def kinds(disposition: Disposition) -> list[str]:
    return [event.kind for event in disposition.events] if isinstance(disposition, Events) else []


def expected_kinds(entry: Facts, body: Any) -> list[str]:
    kind = entry["kind"]
    if entry["source"] == "slack":
        return expected_chat(body)
    if entry["source"] == "pagerduty":
        return [INCIDENTS[kind]] if kind in INCIDENTS else []
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


def expected_chat(body: Any) -> list[str]:
    if body["type"] in ("block_actions", "view_submission", "view_closed"):
        return ["chat.action"]
    return ["chat.mention"] if at(body, "event.type") == "app_mention" else []


def status_kind(state: str) -> str:
    return "deployment.started" if state == "in_progress" else "deployment.finished"


def at(body: Any, path: str, default: Any = None) -> Any:
    """The value at a dotted path; the default where any of it is missing or null."""
    for name in path.split("."):
        body = body.get(name) if isinstance(body, dict) else None
    return default if body is None else body


def time(spelling: Any) -> datetime | None:
    if isinstance(spelling, int | float):
        return datetime.fromisoformat("1970-01-01T00:00:00+00:00").fromtimestamp(spelling, tz=RECEIVED.tzinfo)
    return datetime.fromisoformat(spelling) if spelling else None


def github_facts(entry: Facts, body: Any, event: Event) -> Facts:
    repository = body["repository"]["full_name"]
    facts = {
        "change": change_facts,
        "commits": push_facts,
        "build": build_facts,
        "deployment": deployment_facts,
        "release": release_facts,
        "ticket": ticket_facts,
    }[event.kind.partition(".")[0]](body, event)
    owner = "project" if event.kind.startswith("ticket") else "repository"
    return {**facts, owner: repository, "occurred_at": github_time(entry["kind"], body) or RECEIVED}


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
            Same(sha=c["id"], authored_at=c["timestamp"], message=c["message"], author=commit_author(c["author"]))
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


def pagerduty_facts(_: Facts, body: Any, event: Event) -> Facts:
    told = body["event"]
    incident = told["data"]
    occurred_at = time(told["occurred_at"])
    return {
        "occurred_at": occurred_at,
        "incident_id": incident["id"],
        "number": incident["number"],
        "title": incident["title"],
        "status": incident["status"],
        "urgency": incident["urgency"],
        "service_id": incident["service"]["id"],
        "service_name": incident["service"]["summary"],
        "actor": told["agent"]["id"],
        "opened_at": occurred_at if event.kind == "incident.opened" else None,
        "url": incident["html_url"],
    }


def slack_facts(_: Facts, body: Any, event: Event) -> Facts:
    if event.kind == "chat.mention":
        mention = body["event"]
        return {
            "occurred_at": time(body["event_time"]),
            "team": body["team_id"],
            "user": mention["user"],
            "channel": mention["channel"],
            "text": mention["text"],
            "message_ts": mention["ts"],
        }
    action = body.get("actions", [{}])[0]
    return {
        "occurred_at": time(float(action.get("action_ts", 1700000000))),
        "team": body["team"]["id"],
        "user": body["user"]["id"],
        "channel": at(body, "channel.id", ""),
        "callback": action.get("action_id") or body["view"]["callback_id"],
        "value": action.get("value") or at(body, "view.private_metadata", ""),
        "trigger_id": body.get("trigger_id", ""),
        "message_ts": at(body, "container.message_ts", ""),
    }


FACTS = {"github": github_facts, "pagerduty": pagerduty_facts, "slack": slack_facts}
