"""The words after `/em`: which command, and what was given to it."""

import pytest

from shared.contracts import arguments
from shared.contracts.arguments import Unfit
from shared.contracts.commands import COMMANDS, ROLES, parse
from shared.contracts.services import SERVICES


@pytest.mark.parametrize(
    ("usage", "text", "given"),
    [
        ("", "", {}),
        ("[service] [days]", "checkout 20", {"service": "checkout", "days": "20"}),
        ("[service] [days]", "20", {"days": "20"}),
        ("[#channel] [hours]", "<#C024BE91L|payments> 24", {"#channel": "C024BE91L", "hours": "24"}),
        ("[#channel] [hours]", "<#C024BE91L|>", {"#channel": "C024BE91L"}),
        ("[#channel] [hours]", "24", {"hours": "24"}),
        ("[#channel] [hours]", "#Payments", {"#channel": "#payments"}),
        ("[#channel] <words>", "#payments who broke it", {"#channel": "#payments", "words": "who broke it"}),
        ("[#channel] <words>", "who broke it", {"words": "who broke it"}),
        ("<number> [reason]", "#7", {"number": "7"}),
        ("<id> <text>", 'k7q2m4xz he said "stop" twice', {"id": "K7Q2M4XZ", "text": 'he said "stop" twice'}),
        ("<title>", '  "checkout is down"  ', {"title": "checkout is down"}),
        ("<title>", "“checkout is down”", {"title": "checkout is down"}),
        ("<title>", '"checkout', {"title": '"checkout'}),
        ("<id> <severity>", "K7Q2M4XZ s1", {"id": "K7Q2M4XZ", "severity": "S1"}),
    ],
)
def test_words_are_read_by_the_types_of_the_usage(usage: str, text: str, given: dict[str, str]) -> None:
    assert arguments.read(usage, text) == given


@pytest.mark.parametrize(
    ("usage", "text", "problem"),
    [
        ("<number> [reason]", "", "number: is missing"),
        ("<number> [reason]", "seven", "number: must be a number, such as 7"),
        ("<number>", "٣", "number: must be a number, such as 7"),
        ("[hours]", "0", "hours: must be a number from 1 to 168"),
        ("[hours]", "169", "hours: must be a number from 1 to 168"),
        ("[service] [days]", "checkout soon", "days: must be a number from 1 to 3660"),
        ("[#channel]", "@ana", "#channel: must be a channel, such as #payments"),
        ("[#channel]", "<!channel>", "#channel: must be a channel, such as #payments"),
        ("<id> <severity>", "K7Q2M4XZ S4", "severity: must be S0, S1, S2 or S3"),
        ("[#channel] <words>", "", "words: is missing"),
        ("[#channel] <words>", "#payments", "words: is missing"),
        ("<@user> <duration>", "<!here> 3d", "@user: must be somebody, such as @di"),
        ("<@user> <duration>", "@di 3", "duration: must be hours, days or weeks, such as 12h, 3d or 1w"),
        ("", "now", "there are more words than it takes"),
    ],
)
def test_words_that_do_not_fit_are_named(usage: str, text: str, problem: str) -> None:
    with pytest.raises(Unfit) as refused:
        arguments.read(usage, text)

    assert str(refused.value) == problem


def test_a_problem_comes_with_the_usage() -> None:
    assert parse("approve seven").problem == (
        "number: must be a number, such as 7. Use `/em approve <number> [reason]`"
    )


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ("standup", "standup", ()),
        ("standup 24", "standup", ("24",)),
        ("STANDUP Post 24", "standup post", ("24",)),
        ('ask "post mortem" of checkout', "ask", ("post mortem", "of", "checkout")),
    ],
)
def test_the_longest_name_wins_in_any_case(text: str, name: str, arguments: tuple[str, ...]) -> None:
    invocation = parse(text)

    assert invocation.command is not None
    assert (invocation.command.name, invocation.arguments) == (name, arguments)


def test_only_the_last_argument_takes_all_words_that_are_left() -> None:
    for command in COMMANDS:
        assert all(slot.name in arguments.TYPES for slot in [*arguments.slots(command.arguments)][:-1]), command.name


def test_every_command_has_an_owner_and_a_role_and_no_name_twice() -> None:
    names = [word for command in COMMANDS for word in (command.name, *command.also)]

    assert {command.owner for command in COMMANDS} <= {service.name for service in SERVICES}
    assert {command.role for command in COMMANDS} <= set(ROLES)
    assert len(names) == len(set(names)) and all(name == name.lower() for name in names)
