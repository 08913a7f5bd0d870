"""Linear."""

from typing import Any

from shared.contracts.events import Event
from tests.contracts.facts import Facts, time

KINDS = {"ticket.created": "ticket.created", "ticket.deleted": "ticket.closed"}


def expected(entry: Facts, _: Any) -> list[str]:
    return [KINDS[entry["kind"]]]


def facts(entry: Facts, body: Any, _: Event) -> Facts:
    issue = body["data"]
    deleted = entry["kind"] == "ticket.deleted"
    return {
        "occurred_at": time(body["createdAt"]),
        "ticket_id": issue["id"],
        "key": f"{issue['team']['key']}-{issue['number']}",
        "project": issue["team"]["key"],
        "title": issue["title"],
        "state": "closed" if deleted else "open",
        "status": issue["state"]["name"],
        "status_before": "",
        "priority": issue["priorityLabel"],
        "action": body["action"],
        "author": issue["creatorId"],
        "assignee": issue.get("assigneeId", ""),
        "labels": tuple(label["name"] for label in issue["labels"]),
        "opened_at": time(issue["createdAt"]),
        "closed_at": time(body["createdAt"]) if deleted else None,
        "url": body.get("url", ""),
        **({"reason": "deleted"} if deleted else {}),
    }
