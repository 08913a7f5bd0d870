"""Incidents that people declare and tell of in chat: the command is the delivery, and its author stays with it. Pure.

An id is seven characters from the delivery's hash and one that checks them, so that a misspelt one is none.
"""

from collections.abc import Mapping

from shared.contracts.commands import Invocation, owned_by
from shared.contracts.envelope import RawDelivery
from shared.contracts.events import (
    ChatCommand,
    Event,
    IncidentNoted,
    IncidentOpened,
    IncidentResolved,
    Reply,
)
from shared.contracts.services import NORMALIZER

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no I, L, O, U
DIGITS = 7
BITS_OF_DIGIT = 5
SEVERITIES: Mapping[str, str] = {"S0": "critical", "S1": "high", "S2": "medium", "S3": "low"}
TITLE_MAX_CHARACTERS = 300
NOTE_MAX_CHARACTERS = 2_000


def told(command: ChatCommand, delivery: RawDelivery) -> tuple[Event, ...]:
    """What a command says of an incident, and the answer to whoever typed it; nothing for others' commands."""
    invocation = owned_by(NORMALIZER.name, command.text)
    if invocation is None or invocation.command is None:
        return ()
    if invocation.problem:
        return (_reply(command, invocation.problem),)
    named = invocation.given.get("id") or new_id(delivery.sha256)
    if not is_id(named):
        return (_reply(command, f"No incident has the id {named}: it is told where the incident was started."),)
    event, answer = _said(invocation.command.name, command, invocation, named)
    return (event, _reply(command, answer))


def new_id(sha256: str) -> str:
    """`sha256`: of the delivery, in hex."""
    number = int(sha256, 16) % (1 << (BITS_OF_DIGIT * DIGITS))
    digits = "".join(ALPHABET[(number >> (BITS_OF_DIGIT * place)) % len(ALPHABET)] for place in range(DIGITS))
    return digits + _check(digits)


def is_id(text: str) -> bool:
    return len(text) == DIGITS + 1 and set(text) <= set(ALPHABET) and text[-1] == _check(text[:-1])


def _check(digits: str) -> str:
    """Weights that are odd tell every single wrong character, and most that changed places."""
    return ALPHABET[sum((2 * place + 1) * ALPHABET.index(digit) for place, digit in enumerate(digits)) % len(ALPHABET)]


def _said(name: str, command: ChatCommand, invocation: Invocation, incident_id: str) -> tuple[Event, str]:
    given = invocation.given
    match name:
        case "incident start":
            title = given["title"][:TITLE_MAX_CHARACTERS]
            opened = IncidentOpened(
                occurred_at=command.occurred_at,
                incident_id=incident_id,
                title=title,
                actor=command.user,
                opened_at=command.occurred_at,
            )
            return opened, f"Incident {incident_id} is open. Tell what happens: `/em incident note {incident_id} …`"
        case "incident note":
            return _noted(command, incident_id, given["text"]), f"Noted of incident {incident_id}."
        case "incident sev":
            severity = given["severity"]
            urgency = SEVERITIES[severity]
            noted = _noted(command, incident_id, f"severity {severity} ({urgency})", urgency=urgency)
            return noted, f"Incident {incident_id} is {severity} ({urgency}) now."
        case _:
            resolved = IncidentResolved(
                occurred_at=command.occurred_at, incident_id=incident_id, title="", actor=command.user
            )
            return resolved, f"Incident {incident_id} is closed."


def _noted(command: ChatCommand, incident_id: str, note: str, *, urgency: str = "") -> IncidentNoted:
    """The title is known from its start."""
    return IncidentNoted(
        occurred_at=command.occurred_at,
        incident_id=incident_id,
        title="",
        urgency=urgency,
        actor=command.user,
        note=note[:NOTE_MAX_CHARACTERS],
    )


def _reply(command: ChatCommand, text: str) -> Reply:
    return Reply(
        occurred_at=command.occurred_at,
        team=command.team,
        channel=command.channel,
        user=command.user,
        text=text,
    )
