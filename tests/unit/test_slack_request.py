"""What counts as said in Slack: forms as Slack sends them, and no other bytes that Slack may have signed."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from approvals_svc.slack_request import Answer, Away, Misspelt, Post, Search, Unreadable, read_click, read_command

COMMAND = {
    "token": "t",
    "team_id": "T1",
    "channel_id": "C1",
    "user_id": "UANA",
    "command": "/em",
    "text": "approve 7 fine",
    "trigger_id": "1.2",
}
CLICK = {
    "type": "block_actions",
    "user": {"id": "UANA", "team_id": "T1"},
    "team": {"id": "T1"},
    "channel": {"id": "C1"},
    "trigger_id": "1.2",
    "actions": [{"action_id": "approve", "value": "approve:7:1"}],
}


def form(**fields: str) -> bytes:
    return urlencode(fields).encode()


def test_command_is_a_vote_of_who_typed_it() -> None:
    said = read_command(form(**COMMAND))

    assert isinstance(said, Answer)
    assert (said.voter.user, said.approval_id, said.verb, said.reason) == ("UANA", 7, "approve", "fine")


def test_ask_carries_its_words_and_without_any_it_says_how() -> None:
    asked = read_command(form(**{**COMMAND, "text": "ask  why did\tcheckout fail?"}))
    misspelt = read_command(form(**{**COMMAND, "text": "ask"}))

    assert isinstance(asked, Search)
    assert (asked.voter.user, asked.words) == ("UANA", "why did checkout fail?")
    assert isinstance(misspelt, Misspelt)
    assert misspelt.usage == "ask <words>"


@pytest.mark.parametrize(
    ("text", "channel", "words"),
    [
        ("approvals post", "", ""),
        ("Approvals POST <#C024|releases>", "C024", ""),
        ("ask post #releases why did it fail?", "#releases", "why did it fail?"),
        ("ask post why did it fail?", "", "why did it fail?"),
    ],
)
def test_post_goes_to_the_channel_that_is_named(text: str, channel: str, words: str) -> None:
    said = read_command(form(**{**COMMAND, "text": text}))

    assert isinstance(said, Post)
    assert (said.channel, said.words) == (channel, words)


@pytest.mark.parametrize(
    ("text", "delegate", "lasts"),
    [
        ("delegate <@U0BO|bo> 3d", "@U0BO", timedelta(days=3)),
        ("delegate @bo 12H", "bo", timedelta(hours=12)),
        ("delegate bo 1w", "bo", timedelta(weeks=1)),
    ],
)
def test_delegation_names_who_and_for_how_long(text: str, delegate: str, lasts: timedelta) -> None:
    said = read_command(form(**{**COMMAND, "text": text}))

    assert isinstance(said, Away)
    assert (said.delegate, said.lasts) == (delegate, lasts)


@pytest.mark.parametrize(
    "text",
    [
        *("ask post", "ask post #releases", "approvals post everywhere", "delegate", "delegate @bo", "delegate @bo 0d"),
        *("delegate @bo 3", "delegate @bo 99999d", "delegate @bo 3d please", "delegate <!channel> 3d"),
    ],
)
def test_words_that_a_command_cannot_take_are_answered_with_its_usage(text: str) -> None:
    said = read_command(form(**{**COMMAND, "text": text}))

    assert isinstance(said, Misspelt), said
    assert said.usage.split()[0] == text.split()[0]


def test_click_is_a_vote_on_the_revision_that_was_shown() -> None:
    said = read_click(form(payload=json.dumps(CLICK)))

    assert isinstance(said, Answer)
    assert (said.voter.user, said.approval_id, said.revision) == ("UANA", 7, 1)


@pytest.mark.parametrize(
    "body",
    [
        # An event that Slack signed, in which somebody wrote a link: read as a form it would be Ana's command.
        b'{"type":"event_callback","event":{"text":"x?a=1&text=approve+7&user_id=UANA&channel_id=C1&trigger_id=t"}}',
        b'{"type":"event_callback","event":{"text":"&command=%2Fem&text=approve+7&user_id=UANA&channel_id=C1'
        b'&trigger_id=t&z="}}',
        form(**{k: v for k, v in COMMAND.items() if k != "command"}),
        form(**{**COMMAND, "command": "em"}),
        form(**COMMAND) + b"&user_id=UBO",
        form(**COMMAND) + b"&User=1",
        b"",
        b"\xff\xfe",
    ],
)
def test_other_bytes_are_no_command(body: bytes) -> None:
    with pytest.raises(Unreadable):
        read_command(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"type":"event_callback","text":"&payload=%7B%7D"}',
        form(payload=json.dumps(CLICK), text="x"),
        form(payload=json.dumps(CLICK)) + b"&payload={}",
        form(payload="{not json"),
        form(payload="[" * 100_000),
        json.dumps(CLICK).encode(),
    ],
)
def test_other_bytes_are_no_click(body: bytes) -> None:
    with pytest.raises(Unreadable):
        read_click(body)


FORM: dict[str, Any] = {
    "type": "view_submission",
    "user": {"id": "UANA", "team_id": "T1"},
    "team": {"id": "T1"},
    "trigger_id": "9.9",
    "view": {
        "id": "V1",
        "hash": "156.abc",
        "callback_id": "decline",
        "private_metadata": "decline:7:2:C1",
        "state": {"values": {"reason": {"reason": {"type": "plain_text_input", "value": "tests are red"}}}},
    },
}


def test_form_is_a_vote_against_with_its_reason_where_its_card_stands() -> None:
    said = read_click(form(payload=json.dumps(FORM)))

    assert isinstance(said, Answer)
    assert (said.verb, said.reason, said.approval_id, said.revision) == ("reject", "tests are red", 7, 2)
    assert (said.voter.user, said.voter.channel, said.voter.trigger_id) == ("UANA", "C1", "view:V1:156.abc")


def test_form_that_is_none_of_ours_says_nothing() -> None:
    assert read_click(form(payload=json.dumps({**FORM, "view": {**FORM["view"], "callback_id": "survey"}}))) is None


@pytest.mark.parametrize("carried", ["", "decline:7:2", "approve:7:2:C1", "decline:7:2:<!channel>", "decline:0:1:C1"])
def test_form_of_ours_that_names_no_approval_is_refused(carried: str) -> None:
    with pytest.raises(Unreadable):
        read_click(form(payload=json.dumps({**FORM, "view": {**FORM["view"], "private_metadata": carried}})))


def test_button_that_opens_the_form_is_no_vote() -> None:
    pressed = {**CLICK, "actions": [{"action_id": "decline_with_reason", "value": "decline:7:1"}]}

    assert read_click(form(payload=json.dumps(pressed))) is None


def test_reject_is_another_word_for_decline() -> None:
    said = read_command(form(**{**COMMAND, "text": "reject 7 not today"}))

    assert isinstance(said, Answer)
    assert (said.verb, said.reason) == ("reject", "not today")
