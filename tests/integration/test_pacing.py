"""How fast the sender goes: caps that nobody publishes, the updates of a minute, urgent ones among many."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from em.sandbox.workspace import SlackSettings
from tests.sending import Sending, open_sending
from tests.waiting import until

CHANNELS = tuple(f"#bulk-{number}" for number in range(8))
PER_CHANNEL_S = 4.0
SLACK = SlackSettings(auto_create=True, posts_per_s=PER_CHANNEL_S, post_burst=3, updates_per_min=50, update_burst=50)


@pytest.fixture
async def sending(postgres_url: str) -> AsyncIterator[Sending]:
    async with open_sending(postgres_url, SLACK) as opened:
        await opened.channels(CHANNELS)
        yield opened


async def test_backlog_drains_below_a_cap_that_nobody_told_with_few_refusals(sending: Sending, scale: int) -> None:
    each = 40 * scale
    await sending.control("/slack/settings", {"workspace_posts_per_s": 24})
    for channel in CHANNELS:
        await sending.write(channel, [f"{number:05d}" for number in range(each)])

    async with sending.senders(2, slack_post_interval_s=1 / PER_CHANNEL_S, max_daily_slack_posts=100_000):
        await sending.all_shown(timeout_s=120 * scale)

    posts = await sending.posts()
    refused = [post for post in posts if post["status"] == 429]
    assert len(refused) <= max(8, 0.005 * len(posts))
    for channel in CHANNELS:
        shown = [message["text"] for message in await sending.transcript(channel)]
        assert shown == sorted(shown) and len(shown) == each


async def test_urgent_ones_pass_a_backlog_its_pace_and_its_quota(sending: Sending) -> None:
    await sending.write("#bulk-0", [f"bulk {number}" for number in range(30)])
    settings: dict[str, Any] = {"slack_post_interval_s": 1 / PER_CHANNEL_S, "max_daily_slack_posts": 20}

    async with sending.senders(1, **settings):
        await until(lambda: posted(sending, 5), timeout_s=30, what="the backlog was not begun")
        await sending.write("#bulk-0", ["urgent"], urgent=True)
        await until(lambda: posted(sending, 18), timeout_s=30, what="the quota of all was not used up")
        await sending.write("#bulk-0", ["urgent 2", "urgent 3", "urgent 4"], urgent=True)
        await until(lambda: posted(sending, 20), timeout_s=30, what="the quota was not used up")
        await until(lambda: settled(sending, but=1), timeout_s=30, what="the rest was not put together")

    texts = [message["text"] for message in await sending.transcript("#bulk-0")]
    assert texts.index("urgent") < 12
    assert texts[18:] == ["urgent 2", "urgent 3"]


async def test_quota_is_exact_across_replicas_and_the_rest_is_one_message_per_channel_tomorrow(
    sending: Sending,
) -> None:
    await sending.control("/slack/settings", {"posts_per_s": 100, "post_burst": 100})
    for channel in CHANNELS:
        await sending.write(channel, [f"{channel} {number}" for number in range(8)])
    fault = {"service": "slack", "method": "chat.postMessage"}
    await sending.control("/faults", [{**fault, "kind": "drop_before", "every": 7}])
    await sending.control("/faults", [{**fault, "kind": "rate_limited", "every": 9}])
    settings: dict[str, Any] = {"slack_post_interval_s": 0.02, "max_daily_slack_posts": 40}

    async with sending.senders(4, **settings):
        await until(lambda: settled(sending), timeout_s=60, what="the rest was not put together")
        counts = await sending.control("/slack/counts")
        assert counts["posts"] == 36
        [quota] = await sending.fetch("SELECT posts, warned FROM quota")
        assert (quota["posts"], quota["warned"]) == (36, True)
        states = await sending.states()
        assert states["shown"] == 36 and states["digested"] == 8 * len(CHANNELS) - 36

        # Midnight and eight o'clock have passed.
        await sending.execute("UPDATE message SET not_before = now() WHERE starts_with(key, 'overflow:')")
        await sending.execute("UPDATE quota SET day = day - 1")
        await until(lambda: has_no_ready(sending), timeout_s=60, what="the digests were not posted")

    told = [message for channel in CHANNELS for message in await sending.transcript(channel)]
    listed = [line for message in told for block in message["blocks"] for line in block["text"]["text"].split("\n")]
    shown = [message["text"] for message in told if not message["blocks"]]
    everything = {f"{channel} {number}" for channel in CHANNELS for number in range(8)}
    assert {*shown, *(line.removeprefix("• ") for line in listed)} >= everything
    assert len([message for message in told if message["blocks"]]) <= len(CHANNELS)


async def test_many_changes_of_many_cards_keep_to_the_budget_of_updates_and_end_right(
    sending: Sending, scale: int
) -> None:
    cards, changes, budget = (100, 20, 50) if scale > 1 else (10, 12, 120)
    await sending.control("/slack/settings", {"posts_per_s": 100, "post_burst": 100, "updates_per_min": budget})
    names = [f"card-{number}" for number in range(cards)]
    for number, name in enumerate(names):
        await sending.write(CHANNELS[number % len(CHANNELS)], [name])
    settings: dict[str, Any] = {"slack_post_interval_s": 0.02, "slack_updates_per_min": budget}

    async with sending.senders(2, **settings):
        await sending.all_shown()
        for change in range(changes):
            for number, name in enumerate(names):
                await sending.change(f"{name}@{CHANNELS[number % len(CHANNELS)]}", f"{name} is at {change}")
            await asyncio.sleep(60 / changes if scale > 1 else 0.1)
        await sending.all_shown(timeout_s=400)

    updates = [entry for entry in await sending.control("/slack/ledger") if entry["method"] == "chat.update"]
    times = [entry["arrived_at"] for entry in updates]
    assert max(sum(start <= at < start + 60 for at in times) for start in times) <= budget
    assert all(entry["status"] == 200 for entry in updates)
    texts = {message["text"] for channel in CHANNELS for message in await sending.transcript(channel)}
    assert texts == {f"{name} is at {changes - 1}" for name in names}


async def posted(sending: Sending, count: int) -> bool:
    return len([post for post in await sending.posts() if post["status"] == 200]) >= count


async def settled(sending: Sending, *, but: int = 0) -> bool:
    rows = await sending.fetch(
        "SELECT 1 FROM message WHERE state IN ('ready', 'sending', 'unknown') AND NOT starts_with(key, 'overflow:')"
    )
    return len(rows) == but


async def has_no_ready(sending: Sending) -> bool:
    return not {"ready", "sending", "unknown"} & set(await sending.states())
