"""Slack's deliveries become events; what is said to others is not kept."""

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from normalizer.disposition import Events, Ignored
from normalizer.translation import translate
from shared.contracts.events import ChatAction, ChatCommand
from tests.translations import RECEIVED, delivery, fixtures, outcome

FIXTURES = fixtures("slack")
COMMAND = {"command": "/em", "text": "dora", "user_id": "U1", "channel_id": "C1", "team_id": "T1"}


def interaction(**fields: Any) -> str:
    return urlencode({"payload": json.dumps({"type": "block_actions", "user": {"id": "U1"}, **fields})})


@pytest.mark.parametrize("name", [name for name in FIXTURES if "ignored" in FIXTURES[name].becomes])
def test_body_of_what_is_ignored_is_not_kept(name: str) -> None:
    disposition = translate(FIXTURES[name].delivery("slack"))

    assert isinstance(disposition, Ignored)
    assert not disposition.keeps_body


@pytest.mark.parametrize("name", ["command", "block_actions.approve", "view_submission"])
def test_person_is_heard_with_the_exact_bytes_that_were_signed(name: str) -> None:
    sent = FIXTURES[name].delivery("slack")

    disposition = translate(sent)

    assert isinstance(disposition, Events)
    [event] = disposition.events
    assert isinstance(event, ChatAction | ChatCommand)
    assert event.signed.body == sent.body
    assert (event.signed.timestamp, event.signed.signature) == (sent.timestamp, sent.signature)


def test_user_is_who_signed_in_and_never_what_the_button_says() -> None:
    actions = [{"action_id": "approve", "value": "approve:7:1:U0ANA"}]

    [event] = outcome(delivery("slack", interaction(actions=actions, user={"id": "U0BO"})))["events"]

    assert event["user"] == "U0BO"


@pytest.mark.parametrize("timestamp", ["", "soon", "-1"])
def test_command_without_a_time_has_the_time_it_came_and_says_so(timestamp: str) -> None:
    disposition = translate(delivery("slack", urlencode(COMMAND), timestamp=timestamp))

    assert isinstance(disposition, Events)
    assert disposition.events[0].occurred_at == RECEIVED
    assert disposition.events[0].time_is_received


@pytest.mark.parametrize("field", ["user_id", "channel_id"])
def test_command_without_what_it_must_have_is_dead(field: str) -> None:
    body = urlencode({name: value for name, value in COMMAND.items() if name != field})

    assert outcome(delivery("slack", body)) == {"dead": f"{field} is missing"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"actions": []}, "actions is empty"),
        ({"actions": [{"value": "x"}]}, "action_id"),
        ({"actions": [{"action_id": "a", "action_ts": "noon"}]}, "action_ts: 'noon' is not a time"),
        ({"type": "view_submission"}, "view is missing"),
        ({"type": "shortcut"}, "callback_id is missing"),
        ({"user": None}, "user"),
    ],
)
def test_dead_letter_of_an_interaction_names_the_field(fields: dict[str, Any], reason: str) -> None:
    assert reason in outcome(delivery("slack", interaction(**fields)))["dead"]


@pytest.mark.parametrize(
    "body", ["", "hello", "a=b", "payload=", "payload=%5B", "{", '{"type":"event_callback"}', '{"a":' + "[" * 100_000]
)
def test_body_of_no_door_is_dead(body: str) -> None:
    assert outcome(delivery("slack", body))["dead"]


def test_form_in_no_text_encoding_is_dead() -> None:
    assert "neither JSON nor a form" in outcome(delivery("slack", b"command=\xff\xfe"))["dead"]


def test_nul_never_reaches_an_event() -> None:
    [event] = outcome(delivery("slack", urlencode({**COMMAND, "text": "do\x00ra"})))["events"]

    assert event["text"] == "dora"
