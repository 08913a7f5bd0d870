"""The way to Slack: by a token, by webhooks, or none at all."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

from notifier.settings import Settings
from notifier.slack import Slack
from notifier.webhooks import Webhooks, urls_of

CONNECT_TIMEOUT_S = 3.0

Way: TypeAlias = Slack | Webhooks


def tells_directly(settings: Settings) -> bool:
    """Webhooks reach channels only."""
    return bool(settings.slack_bot_token.get_secret_value() or not settings.slack_webhook_url.get_secret_value())


@asynccontextmanager
async def open_slack(settings: Settings) -> AsyncIterator[Way | None]:
    """A token is preferred. None without either: dry run."""
    token = settings.slack_bot_token.get_secret_value()
    urls = urls_of(settings.slack_webhook_url.get_secret_value())
    if not token and not urls:
        yield None
        return
    from aiohttp import ClientSession, ClientTimeout, TCPConnector

    # A kept connection that Slack closed meanwhile looks like a post that may have happened: a new one each time.
    async with ClientSession(
        connector=TCPConnector(force_close=True),
        timeout=ClientTimeout(total=settings.slack_timeout_s, sock_connect=CONNECT_TIMEOUT_S),
    ) as session:
        if not token:
            yield Webhooks(session, urls)
            return
        from slack_sdk.web.async_client import AsyncWebClient

        yield Slack(AsyncWebClient(token=token, base_url=settings.slack_api_url, session=session, retry_handlers=[]))
