"""A backlog below a cap that nobody told, with urgent messages among it; the updates of a minute; the day's quota."""

import asyncio
import time
from datetime import UTC, datetime

from em.sandbox.workspace import SlackSettings
from tests.bench.metrics.asking import percentile
from tests.sending import Sending, open_sending

CHANNELS = tuple(f"#bulk-{number}" for number in range(20))
SPEED = 2  # time is scaled: two posts a second and channel, where Slack takes one
CAP_PER_S = 15.0 * SPEED  # of the workspace, hidden
REPLICAS = 2
URGENT_EVERY_S = 1.0
CARDS = 100
QUOTA = 100


async def drain(postgres_url: str, *, backlog: int) -> dict[str, float]:
    slack = SlackSettings(auto_create=True, posts_per_s=SPEED, workspace_posts_per_s=CAP_PER_S)
    async with open_sending(postgres_url, slack) as sending:
        await sending.channels(CHANNELS)
        for channel in CHANNELS:
            await sending.write(channel, [f"{number:05d}" for number in range(backlog // len(CHANNELS))])
        async with sending.senders(REPLICAS, slack_post_interval_s=1 / SPEED, max_daily_slack_posts=1_000_000):
            urgent = asyncio.create_task(_urgent(sending))
            written = await _drained(sending, urgent)
        posts = await sending.posts()
        waits_ms = await _waits_ms(sending, written)
    bulk = [post["arrived_at"] for post in posts]
    return {
        "drain_ratio": (max(bulk) - min(bulk)) / (len(bulk) / min(CAP_PER_S, SPEED * len(CHANNELS))),
        "http429_share": sum(post["status"] == 429 for post in posts) / len(posts),
        "urgent_p99_ms": percentile(waits_ms, 0.99),
    }


async def _drained(sending: Sending, urgent: "asyncio.Task[dict[str, float]]") -> dict[str, float]:
    while await sending.fetch("SELECT 1 FROM message WHERE state <> 'shown' AND NOT urgent LIMIT 1"):
        await asyncio.sleep(0.5)
    urgent.cancel()
    try:
        return await urgent
    finally:
        await sending.all_shown()


async def _urgent(sending: Sending) -> dict[str, float]:
    """Key -> when it was written, until cancelled."""
    written: dict[str, float] = {}
    try:
        while True:
            name, channel = f"urgent-{len(written)}", CHANNELS[len(written) % len(CHANNELS)]
            written[f"{name}@{channel}"] = time.time()
            await sending.write(channel, [name], urgent=True)
            await asyncio.sleep(URGENT_EVERY_S)
    except asyncio.CancelledError:
        return written


async def _waits_ms(sending: Sending, written: dict[str, float]) -> list[float]:
    rows = await sending.fetch(
        "SELECT message, max(ended_at) AS shown_at FROM call WHERE message = ANY($1) GROUP BY message", list(written)
    )
    return sorted((row["shown_at"].timestamp() - written[row["message"]]) * 1_000 for row in rows)


async def updates(postgres_url: str, *, changes: int) -> dict[str, float]:
    """So many changes of 100 cards within a minute."""
    slack = SlackSettings(auto_create=True, posts_per_s=100, post_burst=100)
    async with open_sending(postgres_url, slack) as sending:
        places = [(f"card-{number}", CHANNELS[number % len(CHANNELS)]) for number in range(CARDS)]
        for name, channel in places:
            await sending.write(channel, [name])
        async with sending.senders(REPLICAS, slack_post_interval_s=0.02):
            await sending.all_shown(timeout_s=120)
            for change in range(changes):
                began = time.monotonic()
                for name, channel in places:
                    await sending.change(f"{name}@{channel}", f"{name} is at {change}")
                await asyncio.sleep(max(0.0, 60 / changes - (time.monotonic() - began)))
            await sending.all_shown(timeout_s=600)
        ledger = await sending.control("/slack/ledger")
        times = sorted(entry["arrived_at"] for entry in ledger if entry["method"] == "chat.update")
        texts = {message["text"] for channel in CHANNELS for message in await sending.transcript(channel)}
    return {
        "updates_per_min": max(sum(start <= at < start + 60 for at in times) for start in times),
        "updates_wrong_in_the_end": len(texts - {f"{name} is at {changes - 1}" for name, _ in places}),
    }


async def quota(postgres_url: str) -> dict[str, float]:
    """Four replicas that race for what a day has room for, while calls fail."""
    slack = SlackSettings(auto_create=True, posts_per_s=100, post_burst=100)
    async with open_sending(postgres_url, slack) as sending:
        await sending.channels(CHANNELS)
        for channel in CHANNELS:
            await sending.write(channel, [str(number) for number in range(10)])
        fault = {"service": "slack", "kind": "drop_before", "method": "chat.postMessage", "every": 9}
        await sending.control("/faults", [fault])
        async with sending.senders(4, slack_post_interval_s=0.02, max_daily_slack_posts=QUOTA):
            while await sending.fetch(
                "SELECT 1 FROM message WHERE state NOT IN ('shown', 'digested') AND not_before < $1 LIMIT 1",
                datetime.now(UTC),
            ):
                await asyncio.sleep(0.2)
        posts = (await sending.control("/slack/counts"))["posts"]
    return {"quota_over": max(0, posts - QUOTA * 9 // 10)}
