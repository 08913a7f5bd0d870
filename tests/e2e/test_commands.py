"""Every command of the table, typed in Slack: each is reachable, has an effect, and answers whoever typed it."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from em.sandbox.sender import slack_command
from em.sandbox.server import Sandbox, sandbox
from em.sandbox.workspace import SlackSettings
from shared.contracts.commands import COMMANDS
from shared.contracts.services import SERVICES
from tests.line import Line, open_line
from tests.waiting import until

pytestmark = pytest.mark.asyncio

TOKEN = "xoxb-test"
CATALOG = """
people: [{name: ana, slack: [U0ANA]}, {name: ben, slack: [U0BEN]}]
teams: [{name: payments, members: [ana, ben], slack_channel: "#payments"}]
services: [{name: checkout, team: payments, repositories: [acme/checkout]}]
"""
POLICY = """
version: 1
groups: {release: {people: [ana, ben]}}
rules:
  - {name: deploys, if: {action: deploy}, outcome: require, requires: {group: release, count: 1}, expires: {after: 4h}}
"""
# By the command's name: what is typed after it, and what the answer says. `{id}` is that of the incident started first.
TYPED = {
    "incident start": ("Checkout is down", r"Incident [0-9A-Z]{8} is open"),
    "incident note": ("{id} Rolled back", r"Noted of incident {id}"),
    "incident sev": ("{id} S1", r"Incident {id} is S1 \(high\) now"),
    "incident post": ("{id} #payments", r"Posted: <https://.*\|the message> in <#C"),
    "explain": ("incident:slack:{id}", r"incident.opened: now in "),
    "whoami": ("", r"You are|The catalog knows nobody"),
    "prefs": ("mentions off", r"Mentions are off, direct messages are on"),
    "digest now": ("", r"Nothing waits for the digest"),
    "incident close": ("{id}", r"Incident {id} is closed"),
    "help": ("standup", r"`/em standup post \[#channel\] \[hours\]`"),
    "approvals": ("", r"[Nn]othing waits"),
    "approvals post": ("#payments", r"."),
    "ask": ("who broke checkout", r"."),
    "ask post": ("#payments who broke checkout", r"."),
    "approve": ("7", r"7"),
    "decline": ("7 not today", r"7"),
    "link": ("ben", r"You are ana already"),
    "delegate": ("<@U0BEN|ben> 2d", r"ben"),
    "dora": ("checkout 7", r"\*checkout\*: no production deployment"),
    "standup": ("24", r"Standup of payments, last 24 hours"),
    "standup post": ("<#{channel}|payments> 24", r"Posted: "),
    "triage": ("", r"Triage of payments"),
    "triage post": ("#payments", r"Posted: "),
    "signals": ("stale_change", r"Signals of payments"),
    "sprint": ("7", r"Sprint health of payments, last 7 days"),
    "sprint post": ("", r"Posted: "),
}


class Chat:
    """Somebody typing in the channel #ops."""

    def __init__(self, line: Line, slack: Sandbox, ops: str, payments: str) -> None:
        self.line = line
        self._slack = slack
        self._ops = ops
        self.payments = payments

    async def control(self, path: str, body: Any = None) -> Any:
        url = f"{self._slack.control_url}{path}"
        answer = await (self.line.http.get(url) if body is None else self.line.http.post(url, json=body))
        return answer.raise_for_status().json()

    async def answers(self) -> list[str]:
        messages = await self.control(f"/slack/messages?channel={self._ops}")
        return [message["text"] for message in messages if message["ephemeral_for"] == "U0ANA"]

    async def ask(self, text: str) -> str:
        """The answer that came because of it."""
        before = await self.answers()
        sent = await self.line.send_slack(slack_command(text, user="U0ANA", channel=self._ops))
        assert sent.status_code == 200

        async def answered() -> bool:
            return len(await self.answers()) > len(before)

        await until(answered, timeout_s=60, what=f"`/em {text}` was not answered")
        [answer, *_] = (await self.answers())[len(before) :]
        return answer

    async def posted(self, channel: str) -> list[str]:
        messages = await self.control(f"/slack/messages?channel={channel}")
        return [message["text"] for message in messages if not message["ephemeral_for"]]


@pytest.fixture
async def chat(nats_url: str, database_url: str, prefix: str, tmp_path: Path) -> AsyncIterator[Chat]:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    (tmp_path / "policy.yaml").write_text(POLICY)
    async with AsyncExitStack() as stack:
        settings = SlackSettings(token=TOKEN, auto_create=True, posts_per_s=50, post_burst=50)
        slack = await stack.enter_async_context(sandbox(slack_settings=settings))
        line = await stack.enter_async_context(
            open_line(
                nats_url=nats_url,
                database_url=database_url,
                prefix=prefix,
                directory=tmp_path,
                environment={
                    "CATALOG_PATH": str(tmp_path / "catalog.yaml"),
                    "POLICY_PATH": str(tmp_path / "policy.yaml"),
                    "SLACK_API_URL": slack.slack_url,
                    "SLACK_BOT_TOKEN": TOKEN,
                },
            )
        )
        await line.start(*SERVICES)
        made = Chat(line, slack, "", "")
        ops = await made.control("/slack/channels", {"name": "#ops", "members": ["U0ANA"]})
        payments = await made.control("/slack/channels", {"name": "#payments", "members": ["U0ANA"]})
        yield Chat(line, slack, ops["id"], payments["id"])


async def test_every_command_is_reachable_has_an_effect_and_answers_whoever_typed_it(chat: Chat) -> None:
    assert set(TYPED) == {command.name for command in COMMANDS}
    incident = ""
    for name, (words, answer) in TYPED.items():
        said = await chat.ask(f"{name.upper()} {words.format(id=incident, channel=chat.payments)}")
        assert re.search(answer.replace("{id}", incident), said), (name, said)
        if name == "incident start":
            [incident, _] = re.findall(r"[0-9A-Z]{8}", said)

    posts = await chat.posted(chat.payments)
    rows = next(text for text in posts if text.startswith("• "))
    assert [row.split(" ana: ")[1] for row in rows.splitlines()] == [
        "opened: Checkout is down",
        "Rolled back",
        "severity S1 (high)",
    ]
    for title in ("Incident resolved: Checkout is down", "Standup of payments", "Triage of payments", "Sprint health"):
        assert any(text.startswith(title) for text in posts), title
    [noted] = await chat.line.fetch("SELECT title, urgency FROM metrics.incident")
    assert noted["title"] == "Checkout is down"


async def test_an_unknown_command_is_answered_with_the_nearest(chat: Chat) -> None:
    assert "Did you mean `/em standup post`?" in await chat.ask("standpu post #payments")
    assert "okr. It is gone" in await chat.ask("okr list")
