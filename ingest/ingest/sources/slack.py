"""Slack: events, slash commands and interactions arrive at one door and are verified alike."""

from urllib.parse import parse_qs

import msgspec

from ingest.headers import Headers
from ingest.schemes import Evidence, SlackV0
from ingest.source import MIB, Answer, Source, Status
from shared.contracts.envelope import RawDelivery

UNKNOWN = "It is not known whether this was accepted. Please look at the card."


class _InnerEvent(msgspec.Struct):
    type: str = ""


class _Body(msgspec.Struct):
    """What events and interactions name themselves with."""

    type: str = ""
    event_id: str = ""
    challenge: str = ""
    event: _InnerEvent = msgspec.field(default_factory=_InnerEvent)


def _form(body: bytes) -> dict[str, str]:
    if body.lstrip()[:1] == b"{":
        return {}
    try:
        return {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
    except ValueError:
        return {}


def _read(body: bytes) -> _Body:
    """Undecodable bodies read as nothing: they are kept, and normalizer says why they are dead."""
    json = _form(body).get("payload", "").encode() or body
    try:
        return msgspec.json.decode(json, type=_Body)
    except (msgspec.DecodeError, RecursionError):
        return _Body()


def _event_name(_: Headers, body: bytes) -> str:
    if "command" in _form(body):
        return "command"
    read = _read(body)
    return read.event.type or read.type


def _handshake(body: bytes, _: Evidence) -> Answer | None:
    if _form(body).get("ssl_check") == "1":
        return Answer(status=200)
    read = _read(body)
    if read.type == "url_verification":
        return Answer(status=200, body=msgspec.json.encode({"challenge": read.challenge}))
    return None


def _accepted(delivery: RawDelivery, _: Status) -> Answer | None:
    """Whatever a command or an interaction is answered with is shown to the person: nothing, then."""
    return Answer(status=200) if _form(delivery.body) else None


def _refused(body: bytes) -> Answer | None:
    """A timed-out publish can still land, so nobody is told that nothing was done (reference slack.md, section 4)."""
    if "command" in _form(body):
        return Answer(status=200, body=msgspec.json.encode({"response_type": "ephemeral", "text": UNKNOWN}))
    if _read(body).type == "view_submission":
        errors = {"response_action": "errors", "errors": {"reason": UNKNOWN}}
        return Answer(status=200, body=msgspec.json.encode(errors))
    return None


SOURCE = Source(
    name="slack",
    title="Slack events, commands and interactions",
    scheme=SlackV0(),
    secret_variables=("SLACK_SIGNING_SECRET", "SLACK_WEBHOOK_SECRET"),
    delivery_id=lambda _, body: _read(body).event_id,
    event_name=_event_name,
    limit_s=3,
    body_max_bytes=MIB // 2,  # it travels inside the event as well, a third longer for being base64
    handshake=_handshake,
    accepted_status=200,
    accepted=_accepted,
    refused=_refused,
    spools=lambda body: not _form(body),  # commands, clicks and dialogs come as forms
    grades=frozenset({"payload", "vector", "facts", "tried"}),
)
