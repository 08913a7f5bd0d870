"""The Slack counterpart's people, direct conversations, forms, reactions and webhooks, through Slack's own SDK."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry import RateLimitErrorRetryHandler, RetryHandler
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.client import WebClient
from slack_sdk.webhook.async_client import AsyncWebhookClient

from em.sandbox.server import Sandbox, sandbox
from em.sandbox.workspace import SlackSettings

ANA = {"id": "U0ANA", "name": "ana", "email": "ana@example.com"}


@pytest.fixture
async def started() -> AsyncIterator[Sandbox]:
    async with sandbox(slack_settings=SlackSettings(token="xoxb-right", post_burst=20)) as running:
        yield running


@pytest.fixture
async def control(started: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=started.control_url) as client:
        await client.post("/slack/channels", json={"name": "#payments", "members": ["U0ANA"]})
        await client.post("/slack/users", json=ANA)
        yield client


@pytest.fixture
async def slack(started: Sandbox, control: httpx.AsyncClient) -> AsyncWebClient:
    return AsyncWebClient(token="xoxb-right", base_url=started.slack_url, timeout=2, retry_handlers=[])


async def transcript(control: httpx.AsyncClient, channel: str) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = (await control.get("/slack/messages", params={"channel": channel})).json()
    return lines


async def hook(started: Sandbox, control: httpx.AsyncClient, channel: str) -> str:
    path = (await control.post("/slack/webhooks", json={"channel": channel})).json()["path"]
    return started.slack_url.removesuffix("/api/") + str(path)


async def test_a_post_to_a_person_is_the_direct_conversation_that_opening_it_gives(
    slack: AsyncWebClient, control: httpx.AsyncClient
) -> None:
    posted = await slack.chat_postMessage(channel="U0ANA", text="Your turn")

    opened = await slack.conversations_open(users="U0ANA")
    await slack.chat_update(channel=posted["channel"], ts=posted["ts"], text="Done")

    assert posted["channel"] == opened["channel"]["id"] and posted["channel"].startswith("D")
    assert [line["text"] for line in await transcript(control, "U0ANA")] == ["Done"]
    assert posted["channel"] not in [each["id"] for each in (await slack.conversations_list())["channels"]]
    assert [each["user"] for each in (await slack.conversations_list(types="im"))["channels"]] == ["U0ANA"]


@pytest.mark.parametrize(
    ("users", "error"), [("", "users_list_not_supplied"), ("U0NOBODY", "user_not_found"), ("U0BOT", "cannot_dm_bot")]
)
async def test_a_conversation_that_cannot_be_opened_is_refused(
    users: str, error: str, slack: AsyncWebClient, control: httpx.AsyncClient
) -> None:
    await control.post("/slack/users", json={"id": "U0BOT", "name": "bot", "is_bot": True})

    with pytest.raises(SlackApiError, match=error):
        await slack.api_call("conversations.open", json={"users": users})


async def test_user_groups_are_listed_with_their_members_only_where_asked(
    slack: AsyncWebClient, control: httpx.AsyncClient
) -> None:
    group = (await control.post("/slack/usergroups", json={"handle": "release", "users": ["U0ANA"]})).json()
    await control.post("/slack/usergroups", json={"handle": "old", "disabled": True})

    plain, whole = await slack.usergroups_list(), await slack.usergroups_list(include_users=True, include_disabled=True)

    assert [(each["handle"], "users" in each) for each in plain["usergroups"]] == [("release", False)]
    assert [each.get("users") for each in whole["usergroups"]] == [["U0ANA"], []]
    assert (await slack.usergroups_users_list(usergroup=group["id"]))["users"] == ["U0ANA"]
    with pytest.raises(SlackApiError, match="no_such_subteam"):
        await slack.usergroups_users_list(usergroup="S0NONE")


async def test_a_reaction_is_there_once_until_it_is_taken_back(slack: AsyncWebClient) -> None:
    posted = await slack.chat_postMessage(channel="#payments", text="Deploy?")
    at = {"channel": posted["channel"], "timestamp": posted["ts"]}

    await slack.reactions_add(**at, name="eyes")

    [message] = (await slack.conversations_history(channel=posted["channel"]))["messages"]
    assert [reaction["name"] for reaction in message["reactions"]] == ["eyes"]
    with pytest.raises(SlackApiError, match="already_reacted"):
        await slack.reactions_add(**at, name="eyes")
    await slack.reactions_remove(**at, name="eyes")
    with pytest.raises(SlackApiError, match="no_reaction"):
        await slack.reactions_remove(**at, name="eyes")


async def test_a_deleted_message_is_gone(slack: AsyncWebClient) -> None:
    posted = await slack.chat_postMessage(channel="#payments", text="Deploy?")

    await slack.chat_delete(channel=posted["channel"], ts=posted["ts"])

    assert (await slack.conversations_history(channel=posted["channel"]))["messages"] == []
    with pytest.raises(SlackApiError, match="message_not_found"):
        await slack.chat_delete(channel=posted["channel"], ts=posted["ts"])


async def test_an_open_form_is_replaced_unless_it_changed_meanwhile(
    slack: AsyncWebClient, control: httpx.AsyncClient
) -> None:
    form = {"type": "modal", "title": {"type": "plain_text", "text": "Why?"}, "blocks": []}
    opened = (await slack.views_open(trigger_id=f"{int(time.time() * 1000)}.1.{'a' * 32}", view=form))["view"]
    said = form | {"title": {"type": "plain_text", "text": "Thanks"}}

    await slack.views_update(view_id=opened["id"], hash=opened["hash"], view=said)

    [shown] = (await control.get("/slack/views")).json()
    assert (shown["id"], shown["title"]["text"]) == (opened["id"], "Thanks")
    with pytest.raises(SlackApiError, match="hash_conflict"):
        await slack.views_update(view_id=opened["id"], hash=opened["hash"], view=said)
    with pytest.raises(SlackApiError, match="not_found"):
        await slack.views_update(view_id="V0NONE", view=said)


async def test_a_token_without_the_right_is_told_which_one_it_needs(
    slack: AsyncWebClient, control: httpx.AsyncClient
) -> None:
    await control.post("/slack/settings", json={"scopes": ["chat:write"]})

    await slack.chat_postMessage(channel="#payments", text="x")
    with pytest.raises(SlackApiError) as raised:
        await slack.users_lookupByEmail(email="ana@example.com")

    answer = raised.value.response
    assert (answer["error"], answer["needed"], answer["provided"]) == (
        "missing_scope",
        "users:read.email",
        "chat:write",
    )


async def test_slacks_own_retry_handler_waits_a_storm_out(started: Sandbox, control: httpx.AsyncClient) -> None:
    storm = {"service": "slack", "kind": "rate_limited", "method": "chat.postMessage", "bites_max": 2}
    await control.post("/faults", json=[storm])
    handlers: list[RetryHandler] = [RateLimitErrorRetryHandler(max_retry_count=3)]
    client = WebClient(token="xoxb-right", base_url=started.slack_url, retry_handlers=handlers)

    await asyncio.to_thread(client.chat_postMessage, channel="#payments", text="x")

    ledger = (await control.get("/slack/ledger")).json()
    assert [entry["status"] for entry in ledger] == [429, 429, 200]


async def test_a_webhook_says_ok_and_no_more(started: Sandbox, control: httpx.AsyncClient) -> None:
    client = AsyncWebhookClient(await hook(started, control, "#payments"))

    answer = await client.send(text="Deployed", blocks=[{"type": "divider"}])

    assert (answer.status_code, answer.body) == (200, "ok")
    [line] = await transcript(control, "#payments")
    assert (line["text"], line["blocks"]) == ("Deployed", [{"type": "divider"}])


async def test_a_webhook_refuses_by_status_and_word(started: Sandbox, control: httpx.AsyncClient) -> None:
    url = await hook(started, control, "#payments")
    unknown = url.rpartition("/")[0] + "/guessed"
    too_big = [{"type": "header", "text": {"type": "plain_text", "text": "x" * 151}}]

    refused = [
        await AsyncWebhookClient(unknown).send(text="x"),
        await AsyncWebhookClient(url).send(text=""),
        await AsyncWebhookClient(url).send(text="x", blocks=too_big),
    ]
    await control.post("/slack/channels", json={"name": "#payments", "archived": True})
    refused.append(await AsyncWebhookClient(url).send(text="x"))

    assert [(answer.status_code, answer.body) for answer in refused] == [
        (404, "no_service"),
        (400, "no_text"),
        (400, "invalid_payload"),
        (410, "channel_is_archived"),
    ]
    assert await transcript(control, "#payments") == []


async def test_a_webhook_is_limited_and_cut_like_any_post(started: Sandbox, control: httpx.AsyncClient) -> None:
    client = AsyncWebhookClient(await hook(started, control, "#payments"), retry_handlers=[])
    await control.post("/slack/settings", json={"post_burst": 1})
    await client.send(text="1")

    limited = await client.send(text="2")
    await control.post("/slack/settings", json={"post_burst": 9})
    await control.post("/faults", json=[{"service": "slack", "kind": "drop_after", "method": "webhook"}])
    with pytest.raises(Exception, match="(?i)disconnected"):
        await client.send(text="3")

    assert limited.status_code == 429 and limited.headers["Retry-After"] == "1"
    assert [line["text"] for line in await transcript(control, "#payments")] == ["1", "3"]
