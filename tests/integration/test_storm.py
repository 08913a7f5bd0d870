"""The posting protocol under everything at once: nothing lost, nothing doubled, and in order."""

from em.sandbox.workspace import SlackSettings
from tests.sending import open_sending
from tests.storming import CHANNELS, storm

SLACK = SlackSettings(posts_per_s=1_000, post_burst=1_000)


async def test_killed_at_any_point_while_slack_fails_in_every_way_nothing_is_lost_doubled_or_out_of_order(
    postgres_url: str, scale: int
) -> None:
    messages, kills, too_late = (5_000, 30, 3) if scale > 1 else (160, 2, 0)
    async with open_sending(postgres_url, SLACK) as sending:
        await sending.channels([f"#storm-{number}" for number in range(CHANNELS)])

        books = await storm(sending, messages=messages, kills=kills, seed=5, too_late=too_late)

    assert (books.lost, books.doubled, books.order_violations) == (0, 0, 0)
    assert books.flagged >= books.late
    assert books.never_bit == 0


async def test_by_webhooks_what_is_doubled_was_in_doubt_and_nothing_is_lost(postgres_url: str) -> None:
    async with open_sending(postgres_url, SLACK) as sending:
        names = [f"#storm-{number}" for number in range(CHANNELS)]
        await sending.channels(names)
        hooks = await sending.hooks(*names)

        books = await storm(sending, messages=80, kills=1, seed=6, hooks=hooks)

    assert books.lost == 0
    assert books.doubled <= books.flagged
