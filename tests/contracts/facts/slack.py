"""Slack."""

from typing import Any

from shared.contracts.events import Event
from tests.contracts.facts import Facts, at, time


def expected(_: Facts, body: Any) -> list[str]:
    if body["type"] in ("block_actions", "view_submission", "view_closed"):
        return ["chat.action"]
    return ["chat.mention"] if at(body, "event.type") == "app_mention" else []


def facts(_: Facts, body: Any, event: Event) -> Facts:
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
