"""Jira."""

from datetime import UTC, datetime
from typing import Any

from shared.contracts.events import Event
from tests.contracts.facts import Facts, at, time

KINDS = {
    "ticket.created": "ticket.created",
    "ticket.updated": "ticket.updated",
    "ticket.deleted": "ticket.closed",
}


def expected(entry: Facts, body: Any) -> list[str]:
    if entry["kind"] == "ticket.transitioned":
        done = at(body, "issue.fields.status.statusCategory.key") == "done"
        return ["ticket.closed" if done else "ticket.updated"]
    return [KINDS[entry["kind"]]] if entry["kind"] in KINDS else []


def facts(entry: Facts, body: Any, event: Event) -> Facts:
    issue = body["issue"]
    deleted = entry["kind"] == "ticket.deleted"
    moved = [item for item in at(body, "changelog.items", []) if item["field"] == "status"]
    found = {
        "occurred_at": datetime.fromtimestamp(body["timestamp"] / 1000, UTC),
        "time_is_received": False,
        "ticket_id": issue["id"],
        "key": issue["key"],
        "project": at(issue, "fields.project.key"),
        "title": at(issue, "fields.summary"),
        "ticket_type": at(issue, "fields.issuetype.name"),
        "status": at(issue, "fields.status.name"),
        "status_before": moved[0]["fromString"] if moved else "",
        "state": "closed" if deleted or at(issue, "fields.status.statusCategory.key") == "done" else "open",
        "priority": at(issue, "fields.priority.name", ""),
        "labels": tuple(at(issue, "fields.labels", [])),
        "author": person(at(issue, "fields.creator")),
        "assignee": person(at(issue, "fields.assignee")),
        "actor": person(body.get("user")),
        "opened_at": time(at(issue, "fields.created")),
    }
    if not deleted:
        found["closed_at"] = time(at(issue, "fields.resolutiondate"))
    if event.kind == "ticket.closed":
        found["reason"] = "deleted" if deleted else at(issue, "fields.resolution.name")
    return found


def person(user: Any) -> str:
    return str(at(user, "accountId") or at(user, "name", ""))
