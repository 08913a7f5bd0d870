"""Slack's Web API through slack_sdk, its own retries off: every failure comes out as one `SlackFailed`."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from notifier.deciders import is_person
from notifier.errors import Failure, answered
from notifier.render import Message

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

METADATA_TYPE = "em_delivery"
HISTORY_PAGE = 200
HISTORY_PAGES_MAX = 25
CHANNELS_PAGE = 500
CHANNEL_ID_STARTS = ("C", "G", "D")


class SlackFailed(Exception):
    """A call that was not answered with `ok`; `failure` says what that means."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.kind}: {failure.code}")
        self.failure = failure


class Posted(msgspec.Struct, frozen=True, kw_only=True):
    channel_id: str
    ts: str


class Slack:
    """One bot token. Each method is one call (`find` and `channel_id`: one per page)."""

    def __init__(self, client: "AsyncWebClient") -> None:
        self._client = client

    async def post(
        self, *, channel: str, message: Message, delivery_id: str, key: str, thread_ts: str | None = None
    ) -> Posted:
        """The metadata is what a post without an answer is found by."""
        body = {
            **content(message),
            "channel": channel,
            "metadata": {"event_type": METADATA_TYPE, "event_payload": {"id": delivery_id, "key": key}},
            "unfurl_links": False,
            "unfurl_media": False,
            **({"thread_ts": thread_ts, "reply_broadcast": message.broadcast} if thread_ts else {}),
        }
        answer = await self._call("chat.postMessage", body)
        return Posted(channel_id=str(answer["channel"]), ts=str(answer["ts"]))

    async def update(self, *, posted: Posted, message: Message) -> None:
        """Metadata left out stays as it is. What a webhook posted is as good as gone: it has no ts."""
        if not posted.channel_id.startswith(CHANNEL_ID_STARTS):
            raise SlackFailed(Failure(kind="gone", code="posted_by_webhook"))
        await self._call("chat.update", {**content(message), "channel": posted.channel_id, "ts": posted.ts})

    async def whisper(self, *, channel: str, user: str, text: str) -> None:
        await self._call("chat.postEphemeral", {"channel": channel, "user": user, "text": text})

    async def open_form(self, *, trigger_id: str, view: dict[str, Any]) -> None:
        """Within three seconds of the click that the trigger is from."""
        await self._call("views.open", {"trigger_id": trigger_id, "view": view})

    async def permalink(self, posted: Posted) -> str:
        answer = await self._call("chat.getPermalink", params={"channel": posted.channel_id, "message_ts": posted.ts})
        return str(answer["permalink"])

    async def probe(self) -> None:
        await self._call("auth.test")

    async def find(
        self, *, channel_id: str, delivery_id: str, oldest: float, thread_ts: str | None = None
    ) -> Posted | None:
        """The post with this id in its metadata, in the channel or in a thread; `oldest` in Unix seconds."""
        method = "conversations.replies" if thread_ts else "conversations.history"
        query = {
            **({"ts": thread_ts} if thread_ts else {}),
            "channel": channel_id,
            "oldest": f"{oldest:.6f}",
            "include_all_metadata": True,
            "limit": HISTORY_PAGE,
        }
        async for page in self._pages(method, query, pages_max=HISTORY_PAGES_MAX):
            for message in page["messages"]:
                if message.get("metadata", {}).get("event_payload", {}).get("id") == delivery_id:
                    return Posted(channel_id=channel_id, ts=message["ts"])
        return None

    async def channel_id(self, channel: str) -> str:
        """History wants the id, posting takes a name or a user too. Raises SlackFailed (channel_not_found)."""
        if is_person(channel):
            opened = await self._call("conversations.open", {"users": channel})
            return str(opened["channel"]["id"])
        if not channel.startswith("#"):
            return channel
        async for page in self._pages("conversations.list", {"limit": CHANNELS_PAGE}, pages_max=HISTORY_PAGES_MAX):
            for found in page["channels"]:
                if found["name"] == channel.removeprefix("#"):
                    return str(found["id"])
        raise SlackFailed(Failure(kind="destination", code="channel_not_found"))

    async def _pages(self, method: str, query: dict[str, Any], *, pages_max: int) -> AsyncIterator[Any]:
        cursor = ""
        for _ in range(pages_max):
            page = await self._call(method, params={**query, "cursor": cursor} if cursor else query)
            yield page
            cursor = (page.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return
        raise SlackFailed(Failure(kind="unrecognised", code="too_many_pages"))

    async def _call(
        self, method: str, body: dict[str, Any] | None = None, *, params: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """A JSON body posts, parameters ask. Raises SlackFailed."""
        from slack_sdk.errors import SlackApiError

        try:
            verb = "POST" if params is None else "GET"
            with no_answer():
                response = await self._client.api_call(method, http_verb=verb, json=body, params=params)
        except SlackApiError as error:
            raise SlackFailed(_answered(error.response)) from None
        except AttributeError:  # a 200 in text/plain: slack_sdk looks for fields in a string
            raise SlackFailed(Failure(kind="ambiguous", code="not_json")) from None
        return dict(response.data) if isinstance(response.data, dict) else {}


@contextmanager
def no_answer() -> Iterator[None]:
    """A call that comes to no answer: what never left us, and what may have arrived. Raises SlackFailed."""
    from aiohttp import ClientConnectorError, ClientError, ConnectionTimeoutError

    try:
        yield
    except (ClientConnectorError, ConnectionTimeoutError) as error:
        raise SlackFailed(Failure(kind="not_sent", code=type(error).__name__)) from None
    except (ClientError, TimeoutError) as error:
        raise SlackFailed(Failure(kind="ambiguous", code=type(error).__name__)) from None


def content(message: Message) -> dict[str, Any]:
    """`parse: none`: nothing but our own markup becomes a link or a mention."""
    return {"text": message.text, "blocks": list(message.blocks), "parse": "none"}


def _answered(response: Any) -> Failure:
    """slack_sdk gives its own response, or aiohttp's where the body was no JSON."""
    fields = getattr(response, "data", None)
    error = fields.get("error", "") if isinstance(fields, dict) else ""
    status: int = response.status_code if hasattr(response, "status_code") else response.status
    return answered(status=status, error=str(error), retry_after=response.headers.get("Retry-After", ""))
