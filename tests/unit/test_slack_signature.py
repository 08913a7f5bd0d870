"""Slack's signature as approvals-svc checks it again, and what is read from the signed bytes."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals_svc.slack_request import Answer, Misspelt, Question, Unreadable, read_click, read_command
from approvals_svc.slack_signature import SignatureRefused, verify

# slack_sdk's own tests.
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
TIMESTAMP = "1531420618"
SIGNATURE = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)


def check(
    body: bytes = BODY,
    *,
    timestamp: str = TIMESTAMP,
    signature: str = SIGNATURE,
    secrets: tuple[str, ...] = (SECRET,),
    skew_s: float = 0,
) -> int:
    received_at = datetime.fromtimestamp(int(TIMESTAMP) + skew_s, UTC)
    return verify(body, timestamp=timestamp, signature=signature, secrets=secrets, received_at=received_at)


def signed(body: bytes, timestamp: str = TIMESTAMP) -> str:
    return "v0=" + hmac.digest(SECRET.encode(), b"v0:" + timestamp.encode() + b":" + body, hashlib.sha256).hex()


def test_official_vector_is_accepted() -> None:
    assert check() == 0


def test_any_live_secret_is_accepted_while_rotating() -> None:
    assert check(secrets=("other", SECRET)) == 1


@pytest.mark.parametrize("skew_s", [-300, -299, 299, 300])
def test_five_minutes_either_way_are_fresh(skew_s: int) -> None:
    assert check(skew_s=skew_s) == 0


@pytest.mark.parametrize("skew_s", [-3600, -301, 301, 3600])
def test_more_than_five_minutes_either_way_are_stale(skew_s: int) -> None:
    with pytest.raises(SignatureRefused, match="stale"):
        check(skew_s=skew_s)


@pytest.mark.parametrize(
    "timestamp",
    [
        *("", "abc", " 1531420618", "1531420618 ", "1531420618\n", "1531420618.0", "+1531420618", "-1", "1" * 40),
        *("１５３１４２０６１８", "١٥٣١٤٢٠٦١٨", "1_531_420_618", "0x5b479e8a"),
    ],
)
def test_timestamp_that_is_no_plain_number_is_refused(timestamp: str) -> None:
    with pytest.raises(SignatureRefused, match="timestamp"):
        check(timestamp=timestamp, signature=signed(BODY, timestamp))


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "v0=",
        SIGNATURE[:-1],
        SIGNATURE + "0",
        SIGNATURE.upper(),
        "v0=" + SIGNATURE[3:].upper(),
        "v1=" + SIGNATURE[3:],
        SIGNATURE[3:],
        SIGNATURE[:-1] + "2",
        f"{SIGNATURE},{SIGNATURE}",
        SIGNATURE + "\n",
        "v0=" + "é" * 64,
        "v0=" + "１" * 64,
        "v0=" + "0" * 64,
    ],
)
def test_forged_signature_is_refused(signature: str) -> None:
    with pytest.raises(SignatureRefused, match="signature"):
        check(signature=signature)


@pytest.mark.parametrize("body", [b"", BODY + b"\n", BODY.replace(b"%2F", b"%2f"), BODY[:-1], b"\x00" + BODY])
def test_signature_of_other_bytes_is_refused(body: bytes) -> None:
    with pytest.raises(SignatureRefused, match="signature"):
        check(body)


@pytest.mark.parametrize("body", [b"\xff\xfe\x00", b""])
def test_signature_covers_bytes_not_text(body: bytes) -> None:
    assert check(body, signature=signed(body)) == 0


def test_without_a_secret_nothing_is_accepted() -> None:
    empty = "v0=" + hmac.digest(b"", b"v0:" + TIMESTAMP.encode() + b":" + BODY, hashlib.sha256).hex()

    with pytest.raises(SignatureRefused, match="no_secret"):
        check(signature=empty, secrets=())


@given(st.binary(), st.text(), st.text())
def test_no_input_raises_anything_else(body: bytes, timestamp: str, signature: str) -> None:
    with pytest.raises(SignatureRefused):
        check(body, timestamp=timestamp, signature=signature)


def click(value: str = "approve:7:1", action_id: str = "approve", **changed: object) -> bytes:
    payload = {
        "type": "block_actions",
        "user": {"id": "U0ANA", "team_id": "T1"},
        "team": {"id": "T1"},
        "channel": {"id": "C1"},
        "trigger_id": "1.2.abc",
        "actions": [{"action_id": action_id, "value": value}],
        **changed,
    }
    return urlencode({"payload": json.dumps(payload)}).encode()


def command(text: str, **changed: str) -> bytes:
    fields = {
        "command": "/em",
        "team_id": "T1",
        "user_id": "U0ANA",
        "channel_id": "C1",
        "trigger_id": "1.2.abc",
        "text": text,
    }
    return urlencode({**fields, **changed}).encode()


def test_click_says_who_what_and_which_revision() -> None:
    said = read_click(click("decline:12:3", "decline"))

    assert isinstance(said, Answer)
    assert (said.voter.user, said.approval_id, said.verb, said.revision) == ("U0ANA", 12, "reject", 3)


def test_somebody_of_another_workspace_is_marked() -> None:
    said = read_click(click(user={"id": "U0ANA", "team_id": "T2"}))

    assert isinstance(said, Answer)
    assert said.voter.is_foreign


@pytest.mark.parametrize("value", ["approve:7", "approve:0:1", "approve:7:1:2", "decline:7:1", "approve:٧:1", "7", ""])
def test_button_of_ours_with_another_value_is_unreadable(value: str) -> None:
    with pytest.raises(Unreadable):
        read_click(click(value))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"payload=",
        b"payload=%7B",
        b"payload=[]",
        b"payload=" + b"%5B" * 100_000,
        click() + b"&" + click("approve:8:1"),
        click(trigger_id=""),
        click(trigger_id="x" * 201),
        click(user=None),
        click().replace(b"U0ANA", b"%FF"),
        b"\xff" + click(),
    ],
)
def test_click_that_is_not_what_slack_sends_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        read_click(body)


@pytest.mark.parametrize("body", [click(action_id="other"), click(type="view_submission"), click(actions=[])])
def test_what_is_no_button_of_ours_is_left_alone(body: bytes) -> None:
    assert read_click(body) is None


def test_command_names_number_and_reason() -> None:
    said = read_command(command("Approve #7  looks \x00 good"))

    assert isinstance(said, Answer)
    assert (said.approval_id, said.verb, said.revision, said.reason) == (7, "approve", None, "looks good")


@pytest.mark.parametrize("text", ["approve", "decline x", "approve #", "approve -1", "approve ７", "approve 0"])
def test_command_without_a_number_is_asked_back(text: str) -> None:
    assert isinstance(read_command(command(text)), Misspelt)


def test_list_is_asked_for_and_other_commands_are_left_alone() -> None:
    assert isinstance(read_command(command("approvals")), Question)
    assert read_command(command("help")) is None
    assert read_command(command("dora checkout")) is None


def test_field_that_comes_twice_is_refused() -> None:
    with pytest.raises(Unreadable):
        read_command(command("approve 7") + b"&user_id=U0BO")
