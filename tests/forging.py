"""Clicks that whoever owns normalizer could invent or alter: none is what Slack signed for that person and moment."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from em.sandbox.sender import slack_request
from shared.contracts.events import ChatAction, ChatCommand, SignedRequest

TEAM = "T1"
CHANNEL = "C1"
VOTERS = ("U0BO", "U0CY")  # who may approve; a forger would name one of them


class Forger:
    """`genuine`: a click that Slack signed for somebody who may not vote, and that the forger has seen go by."""

    def __init__(self, *, secret: str, number: int, seed: int) -> None:
        self._secret = secret
        self._number = number
        self._random = random.Random(seed)

    def forgeries(self, count: int) -> Iterator[ChatAction | ChatCommand]:
        ways: list[Callable[[str], ChatAction | ChatCommand]] = [
            self.unsigned,
            self.guessed,
            self.around_another,
            self.altered,
            self.out_of_date,
            self.redated,
            self.withheld,
            self.foreign,
            self.unmapped,
            self.event_of_slack,
            self.altered_command,
            self.altered_form,
        ]
        for n in range(count):
            yield ways[n % len(ways)](self._random.choice(VOTERS))

    # ---- signatures that are not Slack's over these bytes ---------------------------------------------------------

    def unsigned(self, voter: str) -> ChatAction:
        signature = self._random.choice(["", "v0=", "v0=" + "0" * 64, "v1=" + "a" * 64, "v0=" + "é" * 64])
        return self._action(voter, SignedRequest(body=self._click(voter), timestamp=_seconds(), signature=signature))

    def guessed(self, voter: str) -> ChatAction:
        body = self._click(voter)
        return self._action(voter, _signed(f"guess-{self._random.random()}", body))

    def around_another(self, voter: str) -> ChatAction:
        """The signature of a click that somebody else made."""
        theirs = _signed(self._secret, self._click("U0NOBODY"))
        return self._action(
            voter, SignedRequest(body=self._click(voter), timestamp=theirs.timestamp, signature=theirs.signature)
        )

    def altered(self, voter: str) -> ChatAction:
        """One field of a signed click is another's."""
        theirs = _signed(self._secret, self._click("U0NOBODY"))
        body = theirs.body.replace(b"U0NOBODY", voter.encode())
        return self._action(voter, SignedRequest(body=body, timestamp=theirs.timestamp, signature=theirs.signature))

    def altered_command(self, voter: str) -> ChatCommand:
        theirs = _signed(self._secret, self._command("U0NOBODY"))
        body = theirs.body.replace(b"U0NOBODY", voter.encode())
        return self._typed(voter, SignedRequest(body=body, timestamp=theirs.timestamp, signature=theirs.signature))

    def altered_form(self, voter: str) -> ChatAction:
        theirs = _signed(self._secret, self._form("U0NOBODY"))
        body = theirs.body.replace(b"U0NOBODY", voter.encode())
        return self._action(voter, SignedRequest(body=body, timestamp=theirs.timestamp, signature=theirs.signature))

    # ---- signatures of Slack's that say something else, or said it at another time --------------------------------

    def out_of_date(self, voter: str) -> ChatAction:
        """Signed ten minutes ago, said to have come now."""
        return self._action(voter, _signed(self._secret, self._click(voter), ago_s=600))

    def redated(self, voter: str) -> ChatAction:
        """Signed ten minutes ago, and the time beside it moved: that is signed too."""
        old = _signed(self._secret, self._click(voter), ago_s=600)
        return self._action(voter, SignedRequest(body=old.body, timestamp=_seconds(), signature=old.signature))

    def withheld(self, voter: str) -> ChatAction:
        """A click that is genuine, handed on two minutes after it came."""
        signed = _signed(self._secret, self._click(voter), ago_s=120)
        return self._action(voter, signed, received_at=datetime.now(UTC) - timedelta(seconds=120))

    def foreign(self, voter: str) -> ChatAction:
        """The same user id in another workspace."""
        body = self._click(voter, user={"id": voter, "team_id": "T2"})
        return self._action(voter, _signed(self._secret, body))

    def unmapped(self, voter: str) -> ChatAction:
        """Signed for a guest whom the catalog doesn't know; the event around it names a voter."""
        return self._action(voter, _signed(self._secret, self._click(f"W{self._random.randrange(10**6)}")))

    def event_of_slack(self, voter: str) -> ChatAction:
        """Slack signs what people write with the same secret: a message that reads like a form of Slack's."""
        form = urlencode({"payload": self._payload(voter)})
        body = json.dumps({"type": "event_callback", "event": {"text": f"&{form}&"}}).encode()
        return self._action(voter, _signed(self._secret, body))

    # ---- what is said ---------------------------------------------------------------------------------------------

    def click(self, voter: str) -> ChatAction:
        """No forgery: what Slack signs when that person clicks now."""
        return self._action(voter, _signed(self._secret, self._click(voter)))

    def _click(self, voter: str, **changed: Any) -> bytes:
        return urlencode({"payload": self._payload(voter, **changed)}).encode()

    def _payload(self, voter: str, **changed: Any) -> str:
        value = f"approve:{self._number}:1"
        payload = {
            "type": "block_actions",
            "user": {"id": voter, "team_id": TEAM},
            "team": {"id": TEAM},
            "channel": {"id": CHANNEL},
            "trigger_id": self._unique(),
            "actions": [{"action_id": "approve", "value": value}],
            **changed,
        }
        return json.dumps(payload)

    def _command(self, voter: str) -> bytes:
        fields = {"team_id": TEAM, "channel_id": CHANNEL, "user_id": voter, "command": "/em"}
        said = {"text": f"approve {self._number}", "trigger_id": self._unique()}
        return urlencode({**fields, **said}).encode()

    def _form(self, voter: str) -> bytes:
        view = {
            "id": "V1",
            "hash": self._unique(),
            "callback_id": "decline",
            "private_metadata": f"decline:{self._number}:1:{CHANNEL}",
            "state": {"values": {"reason": {"reason": {"value": "no"}}}},
        }
        payload = {"type": "view_submission", "user": {"id": voter, "team_id": TEAM}, "team": {"id": TEAM}}
        return urlencode({"payload": json.dumps({**payload, "view": view})}).encode()

    def _unique(self) -> str:
        return UUID(int=self._random.getrandbits(128)).hex

    def _action(self, voter: str, signed: SignedRequest, *, received_at: datetime | None = None) -> ChatAction:
        at = received_at or datetime.now(UTC)
        return ChatAction(
            occurred_at=at,
            team=TEAM,
            user=voter,
            channel=CHANNEL,
            callback="approve",
            value=f"approve:{self._number}:1",
            trigger_id=self._unique(),
            signed=signed,
        ).stamped(id=self._unique(), source="slack", origin="live", received_at=at)

    def _typed(self, voter: str, signed: SignedRequest) -> ChatCommand:
        at = datetime.now(UTC)
        return ChatCommand(
            occurred_at=at,
            team=TEAM,
            user=voter,
            channel=CHANNEL,
            command="/em",
            text=f"approve {self._number}",
            trigger_id=self._unique(),
            signed=signed,
        ).stamped(id=self._unique(), source="slack", origin="live", received_at=at)


def _signed(secret: str, body: bytes, *, ago_s: float = 0) -> SignedRequest:
    headers = slack_request(secret, body, datetime.now(UTC).timestamp() - ago_s)
    return SignedRequest(
        body=body, timestamp=headers["X-Slack-Request-Timestamp"], signature=headers["X-Slack-Signature"]
    )


def _seconds() -> str:
    return str(int(datetime.now(UTC).timestamp()))
