"""Every kind of card with hostile words: nothing that Slack refuses, nothing that others smuggled in."""

import os

import pytest

from notifier import mrkdwn
from notifier.blocks import button, section
from notifier.render import Message
from tests.fuzzing import fuzz, unfit

PAYLOADS = 100_000 if os.environ.get("SCALE") == "full" else 800


def test_no_payload_is_over_a_limit_and_none_smuggles_a_mention_or_a_link_in() -> None:
    found = fuzz(PAYLOADS)

    assert (found.over_limit, found.injected) == (0, 0), found.examples[:3]
    assert found.payloads == PAYLOADS


@pytest.mark.parametrize(
    "message",
    [
        Message(text="x" * 3_901),
        Message(text=""),
        Message(text="x", blocks=(section("x"),) * 51),
        Message(text="x", blocks=(section("x" * 2_900),) * 5),
        Message(text="x", blocks=(section("x" * 3_001),)),
        Message(
            text="x",
            blocks=({"type": "actions", "elements": [button("x" * 76, action="a", value="1", style="danger")]},),
        ),
    ],
)
def test_the_fuzz_notices_what_slack_would_refuse(message: Message) -> None:
    assert unfit(message)


def test_the_fuzz_notices_text_that_is_not_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mrkdwn, "ENTITIES", {})

    assert fuzz(200).injected
