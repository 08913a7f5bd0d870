"""Shortcut."""

from typing import Any

from shared.contracts.events import Event
from tests.contracts.facts import Facts, at, time

KINDS = {"create": "ticket.created", "update": "ticket.updated", "delete": "ticket.closed"}


def expected(_: Facts, body: Any) -> list[str]:
    return [
        "ticket.closed" if at(action, "changes.completed.new") else KINDS[action["action"]]
        for action in body["actions"]
        if action["entity_type"] == "story"
    ]


def facts(_: Facts, body: Any, event: Event) -> Facts:
    story = next(each for each in body["actions"] if each["entity_type"] == "story")
    names = {each["id"]: each["name"] for each in body.get("references", [])}
    change = at(story, "changes.workflow_state_id", {})
    now = change.get("new") or story.get("workflow_state_id")
    changed_at = time(body["changed_at"])
    return {
        "occurred_at": changed_at,
        "ticket_id": str(story["id"]),
        "key": f"sc-{story['id']}",
        "project": story.get("app_url", "///").split("/")[3],
        "title": story["name"],
        "ticket_type": story.get("story_type", ""),
        "action": story["action"],
        "state": state(story, event),
        "status": names.get(now, ""),
        "status_before": names.get(change.get("old"), ""),
        "author": story.get("requested_by_id", ""),
        "actor": body["member_id"],
        "opened_at": changed_at if event.kind == "ticket.created" else None,
        "closed_at": changed_at if event.kind == "ticket.closed" else None,
        "url": story.get("app_url", ""),
    }


def state(story: Any, event: Event) -> str:
    if event.kind == "ticket.closed":
        return "closed"
    return "open" if event.kind == "ticket.created" or "started" in story["changes"] else ""
