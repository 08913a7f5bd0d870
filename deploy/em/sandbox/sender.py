"""Inbound traffic as the platforms send it: signed headers, and the bodies of clicks and commands."""

import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from em.sandbox.workspace import APP_ID, BOT_ID, TEAM_ID

FORM = "application/x-www-form-urlencoded"


def slack_request(secret: str, body: bytes, now: float | None = None, *, content_type: str = FORM) -> dict[str, str]:
    """Headers of any Slack request; the signature covers the encoded bytes."""
    timestamp = str(int(time.time() if now is None else now))
    signature = _hmac_sha256(secret, b"v0:" + timestamp.encode() + b":" + body)
    return {
        "Content-Type": content_type,
        "User-Agent": "Slackbot 1.0 (+https://api.slack.com/robots)",
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": f"v0={signature}",
    }


def slack_click(
    message: Mapping[str, Any],
    action_id: str,
    *,
    user: str,
    channel: str,
    team: str = TEAM_ID,
    trigger_id: str | None = None,
    response_url: str = "https://hooks.slack.com/actions/sandbox",
    now: float | None = None,
) -> bytes:
    """The form of a click on the button `action_id` of a posted message; LookupError when it has none.

    `message` needs ts and blocks. Give a trigger_id to send the same click again; without one each is new.
    """
    at = time.time() if now is None else now
    button = next((b for b in _buttons(message.get("blocks", [])) if b["action_id"] == action_id), None)
    if button is None:
        raise LookupError(f"no button {action_id} in message {message['ts']}")
    named = {"action_id": action_id, "block_id": button["block_id"], "value": button.get("value")}
    payload = {
        "type": "block_actions",
        "user": {"id": user, "username": user.lower(), "team_id": team},
        "api_app_id": APP_ID,
        "token": "sandbox",
        "container": {
            "type": "message",
            "message_ts": message["ts"],
            "channel_id": channel,
            "is_ephemeral": False,
        },
        "trigger_id": trigger_id or _trigger_id(f"{user}:{message['ts']}:{action_id}", at),
        "team": {"id": team, "domain": "em-sandbox"},
        "channel": {"id": channel, "name": "sandbox"},
        "message": {"type": "message", "ts": message["ts"], "text": message.get("text", "")},
        "response_url": response_url,
        "actions": [{**named, "type": "button", "text": button["text"], "action_ts": f"{at:.6f}"}],
    }
    return urlencode({"payload": json.dumps(payload)}).encode()


def slack_submission(
    view: Mapping[str, Any],
    values: Mapping[str, str],
    *,
    user: str,
    team: str = TEAM_ID,
    now: float | None = None,
) -> bytes:
    """The form of a modal that is submitted; `values` by the action id of its inputs."""
    at = time.time() if now is None else now
    inputs = [block for block in view["blocks"] if block["type"] == "input"]
    state = {
        block["block_id"]: {
            block["element"]["action_id"]: {
                "type": block["element"]["type"],
                "value": values.get(block["element"]["action_id"]),
            }
        }
        for block in inputs
    }
    payload = {
        "type": "view_submission",
        "team": {"id": team, "domain": "em-sandbox"},
        "user": {"id": user, "username": user.lower(), "name": user.lower(), "team_id": team},
        "api_app_id": APP_ID,
        "token": "sandbox",
        "trigger_id": _trigger_id(f"{user}:{view['id']}", at),
        "view": {**view, "team_id": team, "app_id": APP_ID, "bot_id": BOT_ID, "state": {"values": state}},
        "response_urls": [],
        "is_enterprise_install": False,
    }
    return urlencode({"payload": json.dumps(payload)}).encode()


def slack_command(
    text: str,
    *,
    user: str,
    channel: str,
    command: str = "/em",
    team: str = TEAM_ID,
    trigger_id: str | None = None,
    response_url: str = "https://hooks.slack.com/commands/sandbox",
    now: float | None = None,
) -> bytes:
    """The form of a slash command; without a trigger_id each is new."""
    at = time.time() if now is None else now
    fields = {
        "token": "sandbox",
        "team_id": team,
        "team_domain": "em-sandbox",
        "channel_id": channel,
        "channel_name": "sandbox",
        "user_id": user,
        "user_name": user.lower(),
        "command": command,
        "text": text,
        "api_app_id": APP_ID,
        "response_url": response_url,
        "trigger_id": trigger_id or _trigger_id(f"{user}:{command}:{text}", at),
    }
    return urlencode(fields).encode()


def github_headers(secret: str, event: str, delivery: str, body: bytes) -> dict[str, str]:
    return {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/sandbox",
        "X-GitHub-Delivery": delivery,
        "X-GitHub-Event": event,
        "X-Hub-Signature-256": "sha256=" + _hmac_sha256(secret, body),
    }


def pagerduty_headers(secret: str, body: bytes, webhook_id: str) -> dict[str, str]:
    """`secret` may be a comma list, as while a secret is rotated: one signature for each."""
    signatures = [f"v1={_hmac_sha256(one.strip(), body)}" for one in secret.split(",")]
    return {
        "Content-Type": "application/json",
        "User-Agent": "PagerDuty-Webhook/V3.0",
        "X-PagerDuty-Signature": ",".join(signatures),
        "X-Webhook-Id": webhook_id,
    }


def _buttons(blocks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for position, block in enumerate(blocks):
        elements = [*block.get("elements", []), block.get("accessory")]
        for element in elements:
            if isinstance(element, dict) and element.get("type") == "button" and "action_id" in element:
                yield {**element, "block_id": block.get("block_id", f"b{position}")}


def _trigger_id(seed: str, at: float) -> str:
    """Looks like Slack's "398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"."""
    digest = hashlib.md5(f"{seed}:{at!r}".encode(), usedforsecurity=False).hexdigest()
    return f"{int(at * 1000)}.{int(at)}.{digest}"


def _hmac_sha256(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
