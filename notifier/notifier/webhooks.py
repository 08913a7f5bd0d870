"""Incoming webhooks of Slack: posts, and nothing else. Their URLs are secrets and stand in no log and no error."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from notifier.errors import Failure, answered
from notifier.render import Message
from notifier.slack import Posted, SlackFailed, content, no_answer

if TYPE_CHECKING:
    from aiohttp import ClientSession

POSTED = "ok"
CHANNEL = "webhook"  # stands where a channel's id would, which Slack doesn't tell
DEFAULT = ""
# What needs a token, by what is done instead: the table of docs/notifier.md is written from it.
LACKS: Mapping[str, str] = {
    "edits": "a card stays as it was posted; what deserves a word is posted",
    "threads": "a word is posted in the channel",
    "direct messages": "an approval comes to its channel; for others a dead letter says so",
    "ephemeral answers and forms": "a dead letter says so",
    "looking for a post without an answer": "`SLACK_WEBHOOK_IN_DOUBT` decides: held for a person, or posted again",
    "buttons": "they are shown, and Slack sends clicks only to apps with interactivity",
}


class Webhooks:
    """One URL per channel, or one for all."""

    def __init__(self, session: "ClientSession", urls: Mapping[str, str]) -> None:
        self._session = session
        self._urls = urls

    async def post(self, *, channel: str, message: Message, delivery_id: str) -> Posted:
        """Nothing names the post afterwards: its delivery id stands for it. Raises SlackFailed."""
        from slack_sdk.webhook.async_client import AsyncWebhookClient

        client = AsyncWebhookClient(self._url(channel), session=self._session, retry_handlers=[])
        with no_answer():
            response = await client.send_dict(content(message))
        if response.status_code == 200 and response.body == POSTED:
            return Posted(channel_id=CHANNEL, ts=delivery_id)
        error = response.body if response.status_code < 500 and len(response.body) <= 64 else ""
        raise SlackFailed(
            answered(status=response.status_code, error=error, retry_after=response.headers.get("Retry-After", ""))
        )

    def _url(self, channel: str) -> str:
        url = self._urls.get(channel) or (self._urls.get(DEFAULT) if channel.startswith("#") else None)
        if url is None:
            raise SlackFailed(Failure(kind="destination", code="no_webhook"))
        return url


def urls_of(text: str) -> dict[str, str]:
    """`URL`, or `#channel=URL,#other=URL,URL`, the last for all others. Raises ValueError, which names no URL."""
    found: dict[str, str] = {}
    for number, part in enumerate(filter(None, (part.strip() for part in text.split(","))), start=1):
        channel, url = part.split("=", 1) if part.startswith("#") and "=" in part else (DEFAULT, part)
        if not url.startswith(("https://", "http://")):
            raise ValueError(f"SLACK_WEBHOOK_URL, part {number}: write URL or #channel=URL")
        if channel.strip() in found:
            raise ValueError(f"SLACK_WEBHOOK_URL, part {number}: that channel has a URL already")
        found[channel.strip()] = url
    return found
