"""Rights at Slack: what a token needs for each method that notifier calls, https://docs.slack.dev/reference/methods."""

from collections.abc import Mapping

SCOPES: Mapping[str, tuple[str, ...]] = {
    "auth.test": (),
    "chat.getPermalink": (),
    "chat.postEphemeral": ("chat:write",),
    "chat.postMessage": ("chat:write",),
    "chat.update": ("chat:write",),
    "conversations.history": ("channels:history", "groups:history", "im:history"),
    "conversations.list": ("channels:read", "groups:read"),
    "conversations.open": ("im:write",),
    "conversations.replies": ("channels:history", "groups:history", "im:history"),
    "views.open": (),
}
EVENTS: Mapping[str, tuple[str, ...]] = {
    "app_mention": ("app_mentions:read",),
    "app_uninstalled": (),
    "tokens_revoked": (),
}
COMMANDS = ("commands",)


def bot_scopes() -> list[str]:
    needed = [COMMANDS, *SCOPES.values(), *EVENTS.values()]
    return sorted({scope for scopes in needed for scope in scopes})
