"""Senders killed while Slack fails in every way, by token and by webhooks."""

from em.sandbox.workspace import SlackSettings
from tests.sending import open_sending
from tests.storming import CHANNELS, storm

SLACK = SlackSettings(posts_per_s=1_000, post_burst=1_000)
MESSAGES, KILLS, TOO_LATE = 5_000, 30, 3
BY_WEBHOOK = 1_000


async def measure(postgres_url: str, *, share: float) -> dict[str, float]:
    names = [f"#storm-{number}" for number in range(CHANNELS)]
    messages, kills = max(100, round(MESSAGES * share)), max(2, round(KILLS * share))
    async with open_sending(postgres_url, SLACK) as sending:
        await sending.channels(names)
        bot = await storm(sending, messages=messages, kills=kills, seed=7, too_late=TOO_LATE)
    async with open_sending(postgres_url, SLACK) as sending:
        await sending.channels(names)
        hooks = await sending.hooks(*names)
        webhook = await storm(
            sending, messages=max(100, round(BY_WEBHOOK * share)), kills=max(1, kills // 5), seed=8, hooks=hooks
        )
    return {
        "lost_bot": bot.lost,
        "doubled_bot": bot.doubled,
        "late_bot": bot.late,
        "flagged_ambiguous": bot.flagged,
        "order_violations": bot.order_violations,
        "lost_webhook": webhook.lost,
        "doubled_webhook": webhook.doubled,
        "flagged_webhook": webhook.flagged,
    }
