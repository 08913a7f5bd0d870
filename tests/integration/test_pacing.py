"""How fast the sender goes: caps that nobody publishes, the updates of a minute, urgent ones among many."""

from collections.abc import AsyncIterator

import pytest

from em.sandbox.workspace import SlackSettings
from tests.sending import Sending, open_sending

CHANNELS = tuple(f"#bulk-{number}" for number in range(8))
PER_CHANNEL_S = 4.0
SLACK = SlackSettings(auto_create=True, posts_per_s=PER_CHANNEL_S, post_burst=3, updates_per_min=50, update_burst=50)


@pytest.fixture
async def sending(postgres_url: str) -> AsyncIterator[Sending]:
    async with open_sending(postgres_url, SLACK) as opened:
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
