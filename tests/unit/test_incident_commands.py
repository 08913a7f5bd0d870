"""Incidents that people declare in chat: the command is the delivery."""

import random
from typing import Any
from urllib.parse import urlencode

import pytest

from normalizer import incidents
from tests.translations import delivery, outcome

SHA = "9fceb02d0ae598e95dc970b74767f19372d61af89fceb02d0ae598e95dc970b7"


def told(text: str) -> list[dict[str, Any]]:
    """What a command becomes beside itself."""
    fields = {"command": "/em", "text": text, "user_id": "U0ANA", "channel_id": "C1", "team_id": "T1"}
    first, *others = outcome(delivery("slack", urlencode(fields)))["events"]
    assert first["kind"] == "chat.command"
    return list(others)


def started() -> str:
    return str(told("incident start Checkout is down")[0]["incident_id"])


def test_start_opens_an_incident_by_its_author_and_answers_its_id() -> None:
    opened, reply = told('incident start "Checkout is down"')

    assert (opened["kind"], opened["title"], opened["actor"]) == ("incident.opened", "Checkout is down", "U0ANA")
    assert incidents.is_id(opened["incident_id"]) and opened["incident_id"] in reply["text"]
    assert (reply["kind"], reply["user"], reply["channel"]) == ("notify.reply", "U0ANA", "C1")


def test_what_is_said_of_it_keeps_its_author_and_severities_have_our_words() -> None:
    incident = started()

    noted, _ = told(f"incident note {incident.lower()} Rolled back, watching")
    severe, _ = told(f"incident sev {incident} s1")
    closed, _ = told(f"incident close {incident}")

    assert (noted["kind"], noted["note"], noted["actor"]) == ("incident.noted", "Rolled back, watching", "U0ANA")
    assert (severe["kind"], severe["urgency"], severe["note"]) == ("incident.noted", "high", "severity S1 (high)")
    assert (closed["kind"], closed["actor"]) == ("incident.resolved", "U0ANA")
    assert {each["incident_id"] for each in (noted, severe, closed)} == {incident}


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("incident close 12345678", "No incident has the id 12345678"),
        ("incident note", "id: is missing. Use `/em incident note <id> <text>`"),
        ("incident start", "title: is missing. Use `/em incident start <title>`"),
    ],
)
def test_a_command_that_means_no_incident_changes_none_and_says_why(text: str, answer: str) -> None:
    [reply] = told(text)

    assert reply["kind"] == "notify.reply" and reply["text"].startswith(answer)


def test_every_wrong_character_of_an_id_is_noticed() -> None:
    named, chance = incidents.new_id(SHA), random.Random(7)
    for place in range(len(named)):
        wrong = chance.choice([each for each in incidents.ALPHABET if each != named[place]])
        assert not incidents.is_id(named[:place] + wrong + named[place + 1 :])


def test_commands_of_others_say_nothing_more() -> None:
    assert told("dora") == told("incident post K7Q2M4XZ") == []
