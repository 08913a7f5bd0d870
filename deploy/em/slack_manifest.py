"""The manifest of the Slack app, from what the services call and answer. Pure.

https://docs.slack.dev/reference/app-manifest
"""

from typing import Any
from urllib.parse import urlsplit

WEBHOOK_PATH = "/webhooks/slack"
NAME_MAX, DESCRIPTION_MAX, USAGE_HINT_MAX = 35, 140, 1_000


class InvalidUrl(ValueError):
    """Slack would send nothing there."""


def manifest(url: str, *, name: str = "EM Agent") -> dict[str, Any]:
    """`url`: where ingest is reached from the internet. Raises InvalidUrl."""
    from notifier.scopes import EVENTS, bot_scopes
    from shared.contracts.commands import COMMANDS

    request_url = f"{_origin(url)}{WEBHOOK_PATH}"
    hint = " | ".join(sorted({command.name.split()[0] for command in COMMANDS}))
    return {
        "display_information": {
            "name": name[:NAME_MAX],
            "description": "What shipped, what waits for a decision, and who must know"[:DESCRIPTION_MAX],
        },
        "features": {
            "bot_user": {"display_name": name[:NAME_MAX], "always_online": True},
            "slash_commands": [
                {
                    "command": "/em",
                    "url": request_url,
                    "description": "Ask, vote and report; /em help lists all",
                    "usage_hint": hint[:USAGE_HINT_MAX],
                    "should_escape": True,
                }
            ],
        },
        "oauth_config": {"scopes": {"bot": bot_scopes()}},
        "settings": {
            "event_subscriptions": {"request_url": request_url, "bot_events": sorted(EVENTS)},
            "interactivity": {"is_enabled": True, "request_url": request_url},
            "org_deploy_enabled": False,
            "socket_mode_enabled": False,
            "token_rotation_enabled": False,
        },
    }


def _origin(url: str) -> str:
    """Of ingest; a path before the webhooks' stays."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise InvalidUrl(f"{url} is no https address that Slack can send to")
    return url.rstrip("/").removesuffix(WEBHOOK_PATH)
