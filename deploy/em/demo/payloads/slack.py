"""Slack's Events API: mentions, messages, reactions and the handshake."""

from datetime import datetime
from typing import Any

from em.demo.cast import Person, Team
from em.sandbox.workspace import APP_ID, BOT_ID, BOT_USER, TEAM_ID

HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
}
LEGACY_TOKEN = "not-a-proof-of-anything"  # noqa: S105  Slack still sends this field; nobody may trust it

Json = dict[str, Any]


def mention(by: Person, team: Team, text: str, at: datetime, *, event_id: str, nonce: str) -> Json:
    body = _said(by, team, f"<@{BOT_USER}> {text}", at, nonce)
    return _envelope({**body, "type": "app_mention"}, at, event_id)


def message(by: Person, team: Team, text: str, at: datetime, *, event_id: str, nonce: str) -> Json:
    body = _said(by, team, text, at, nonce)
    return _envelope({**body, "type": "message", "channel_type": "channel"}, at, event_id)


def bot_message(team: Team, text: str, at: datetime, *, event_id: str) -> Json:
    """Our own words coming back, as Slack sends them to every subscriber."""
    body = {
        "type": "message",
        "subtype": "bot_message",
        "bot_id": BOT_ID,
        "app_id": APP_ID,
        "text": text,
        "ts": _ts(at),
        "team": TEAM_ID,
        "channel": team.channel_id,
        "event_ts": _ts(at),
        "channel_type": "channel",
    }
    return _envelope(body, at, event_id)


def reaction(by: Person, team: Team, at: datetime, *, event_id: str) -> Json:
    body = {
        "type": "reaction_added",
        "user": by.slack,
        "reaction": "eyes",
        "item_user": BOT_USER,
        "item": {"type": "message", "channel": team.channel_id, "ts": _ts(at)},
        "event_ts": _ts(at),
    }
    return _envelope(body, at, event_id)


def url_verification(challenge: str) -> Json:
    return {"token": LEGACY_TOKEN, "challenge": challenge, "type": "url_verification"}


def _said(by: Person, team: Team, text: str, at: datetime, nonce: str) -> Json:
    return {
        "client_msg_id": nonce,
        "text": text,
        "user": by.slack,
        "ts": _ts(at),
        "team": TEAM_ID,
        "channel": team.channel_id,
        "event_ts": _ts(at),
    }


def _envelope(event: Json, at: datetime, event_id: str) -> Json:
    authorization = {
        "enterprise_id": None,
        "team_id": TEAM_ID,
        "user_id": BOT_USER,
        "is_bot": True,
        "is_enterprise_install": False,
    }
    return {
        "token": LEGACY_TOKEN,
        "team_id": TEAM_ID,
        "context_team_id": TEAM_ID,
        "context_enterprise_id": None,
        "api_app_id": APP_ID,
        "event": event,
        "type": "event_callback",
        "event_id": event_id,
        "event_time": int(at.timestamp()),
        "authorizations": [authorization],
        "is_ext_shared_channel": False,
        "event_context": f"4-{event_id.lower()}",
    }


def _ts(at: datetime) -> str:
    return f"{int(at.timestamp())}.000200"
