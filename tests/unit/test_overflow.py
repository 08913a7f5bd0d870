"""The message that stands for what a day's quota had no room for, and where webhooks lead."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from notifier.limiter import Terms
from notifier.overflow import day_of, digest, key_of, told_at
from notifier.webhooks import urls_of

DAY = date(2026, 3, 28)


def test_every_message_has_a_line_that_mentions_nobody_and_is_cut_in_no_link() -> None:
    texts = ["<@U0ANA> look", "x" * 100 + " <https://a.example/very-long-address|label> y", "two\nlines"]

    message = digest(texts, DAY)

    lines = [line for block in message.blocks for line in block["text"]["text"].split("\n")]
    assert lines[1:] == ["• @U0ANA> look", "• " + "x" * 100 + " …", "• two"]
    assert message.text.startswith("3 messages of 2026-03-28")


def test_more_than_people_read_is_counted_and_said_where_to_find() -> None:
    message = digest([f"number {n}" for n in range(500)], DAY)

    assert "… and 400 more" in message.blocks[-1]["text"]["text"]
    assert len(message.blocks) <= 50
    assert sum(len(block["text"]["text"]) for block in message.blocks) <= 12_000


def test_it_is_told_at_eight_the_next_morning_also_when_the_clock_was_changed() -> None:
    terms = Terms(post_interval_s=1, updates_per_min=50, posts_a_day=10, timezone=ZoneInfo("Europe/Berlin"))

    assert told_at(DAY, terms) == datetime(2026, 3, 29, 6, tzinfo=UTC)
    assert day_of(key_of(DAY, "#payments")) == DAY


def test_webhook_is_named_for_all_or_by_channel() -> None:
    assert urls_of("https://a.example/x") == {"": "https://a.example/x"}
    assert urls_of("#ops=https://a.example/x, https://b.example/y") == {
        "#ops": "https://a.example/x",
        "": "https://b.example/y",
    }
    assert urls_of("") == {}


@pytest.mark.parametrize("text", ["hooks.example/secret", "#ops=secret", "https://a.example/secret,https://b.example"])
def test_webhook_that_is_none_is_refused_without_being_named(text: str) -> None:
    with pytest.raises(ValueError, match="SLACK_WEBHOOK_URL, part") as refused:
        urls_of(text)

    assert "secret" not in str(refused.value)
