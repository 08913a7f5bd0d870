"""What becomes of messages that Slack doesn't take, by which way they went, and what the log tells of it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from em.sandbox.workspace import SlackSettings
from notifier import dead_store, store
from notifier.dead_store import Wanted
from shared.catalog import Catalog, Service
from tests.sending import Sending, open_sending
from tests.waiting import until

SLACK = SlackSettings(posts_per_s=20, post_burst=20)
CATALOG = Catalog(services=(Service(name="checkout", slack_channel="#payments"),))
QUICK: dict[str, Any] = {"slack_post_interval_s": 0.05}


@pytest.fixture
async def sending(postgres_url: str) -> AsyncIterator[Sending]:
    async with open_sending(postgres_url, SLACK) as opened:
        await opened.channels(["#engineering", "#payments"])
        yield opened


async def fallen(sending: Sending, dead: int) -> None:
    async def given_up() -> bool:
        states = await sending.states()
        return states.get("dead", 0) == dead and set(states) <= {"dead", "shown"}

    await until(given_up, timeout_s=30, what=f"{dead} messages were not given up")


async def test_channel_that_takes_nothing_is_told_of_once_and_its_messages_go_elsewhere(sending: Sending) -> None:
    await sending.control("/slack/channels", {"name": "#payments", "archived": True})
    await sending.write("#payments", ["one", "two", "three"])

    async with sending.senders(catalog=CATALOG, **QUICK):
        await fallen(sending, 3)

        told = [message["text"] for message in await sending.transcript("#engineering")]
        notice, *moved = sorted(told)
        assert moved == ["one", "three", "two"]
        assert notice.startswith("Nothing can be posted in #payments") and "checkout" in notice
        assert len([post for post in await sending.posts() if post["error"] == "is_archived"]) == 1
        [row] = await sending.fetch("SELECT barred_by, barred_since FROM pace WHERE name = '#payments'")
        assert row["barred_since"] is not None and "is_archived" in row["barred_by"]

        await sending.control("/slack/channels", {"name": "#payments"})
        await sending.execute("UPDATE pace SET barred_at = now() - interval '1 hour' WHERE name = '#payments'")
        await sending.write("#payments", ["four"])
        await until(lambda: has(sending, "#payments", "four"), timeout_s=30, what="the channel was not tried again")

    [row] = await sending.fetch("SELECT barred_since FROM pace WHERE name = '#payments'")
    assert row["barred_since"] is None


async def test_what_was_for_one_person_is_shown_to_nobody_else(sending: Sending) -> None:
    await sending.write("U0GONE", ["private"])

    async with sending.senders(**QUICK):
        await fallen(sending, 1)

    assert await sending.transcript("#engineering") == []


async def test_dead_message_is_found_by_reason_and_channel_and_tried_again_under_its_delivery_id(
    sending: Sending,
) -> None:
    await sending.control("/slack/channels", {"name": "#payments", "archived": True})
    await sending.write("#payments", ["one"])
    async with sending.senders(slack_default_channel="#payments", **QUICK):
        await fallen(sending, 1)
        await sending.control("/slack/channels", {"name": "#payments"})
        await sending.execute("UPDATE pace SET barred_at = now() - interval '1 hour'")

        [dead] = await sending.fetch_by(dead_store.find, Wanted(channel="#payments", reason="ARCHIVED"))
        assert await sending.fetch_by(dead_store.find, Wanted(reason="msg_too_long")) == []
        assert await sending.fetch_by(dead_store.revive, Wanted(keys=(dead["key"],))) == ["one@#payments"]
        await sending.all_shown()

    refused, posted = await sending.posts()
    assert (refused["error"], posted["error"]) == ("is_archived", None)
    assert refused["metadata_id"] == posted["metadata_id"]
    [logged] = await sending.fetch_by(store.messages, store.Asked(channel="#payments"), after="", limit=10)
    assert [(call["job"], call["outcome"]) for call in logged["calls"]] == [("post", "shown"), ("post", "dead")]
    assert all(call["ended_at"] >= call["started_at"] for call in logged["calls"])


async def test_webhook_posts_a_card_once_and_edits_nothing_and_its_url_is_in_no_row(sending: Sending) -> None:
    urls = await sending.hooks("#payments")
    await sending.write("#payments", ["one"])
    await sending.write("U0ANA", ["private"])

    async with sending.senders(slack_bot_token="", slack_webhook_url=urls, **QUICK) as [sender]:
        await fallen(sending, 1)
        await sending.change("one@#payments", "changed")
        await fallen(sending, 1)

        assert sender.status.startswith("webhooks: no edits")
    assert [message["text"] for message in await sending.transcript("#payments")] == ["one"]
    [dead] = await sending.fetch("SELECT last_error FROM message WHERE state = 'dead'")
    assert dead["last_error"] == "destination: no_webhook"
    rows = [*await sending.fetch("SELECT * FROM message"), *await sending.fetch("SELECT * FROM call")]
    assert not any(urls.partition("=")[2] in str(row) for row in rows)


@pytest.mark.parametrize(("doubt", "posted"), [("hold", 1), ("resend", 2)])
async def test_webhook_without_an_answer_is_held_or_sent_again_and_flagged(
    sending: Sending, doubt: str, posted: int
) -> None:
    urls = await sending.hooks("#payments")
    await sending.control("/faults", [{"service": "slack", "kind": "drop_after", "method": "webhook", "nth": 1}])
    await sending.write("#payments", ["one"])

    async with sending.senders(slack_bot_token="", slack_webhook_url=urls, slack_webhook_in_doubt=doubt, **QUICK):
        await fallen(sending, 1 if doubt == "hold" else 0)

    assert len(await sending.transcript("#payments")) == posted
    [logged] = await sending.fetch_by(store.messages, store.Asked(), after="", limit=10)
    assert logged["calls"][-1]["outcome"] == "unknown"


async def has(sending: Sending, channel: str, text: str) -> bool:
    return text in [message["text"] for message in await sending.transcript(channel)]
