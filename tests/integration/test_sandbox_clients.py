"""The Slack counterpart judged by Slack's Node client, and its signed traffic by Slack's own framework."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from slack_bolt import App, BoltRequest

from em.sandbox import sender as signing
from em.sandbox.server import Sandbox, sandbox
from em.sandbox.workspace import BOT_USER, SlackSettings

TOKEN = "xoxb-right"
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
CLIENT = Path(__file__).parents[1] / "fixtures" / "slack_web_api"
STORY_S = 60


@pytest.fixture
async def started() -> AsyncIterator[Sandbox]:
    async with sandbox(slack_settings=SlackSettings(token=TOKEN, post_burst=20)) as running:
        yield running


@pytest.fixture
async def control(started: Sandbox) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=started.control_url) as client:
        await client.post("/slack/channels", json={"name": "#payments", "members": ["U0ANA"]})
        await client.post("/slack/users", json={"id": "U0ANA", "name": "ana", "email": "ana@example.com"})
        await client.post("/slack/usergroups", json={"handle": "release", "users": ["U0ANA"]})
        yield client


# ---- @slack/web-api --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def node_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """@slack/web-api as its lock names it, without scripts of its packages."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("Slack's Node client needs node and npm")
    directory = tmp_path_factory.mktemp("slack_web_api")
    for file in CLIENT.iterdir():
        shutil.copy(file, directory)
    installing = await asyncio.create_subprocess_exec(
        npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=directory, stderr=asyncio.subprocess.PIPE
    )
    _, said = await installing.communicate()
    assert installing.returncode == 0, said.decode()
    return directory


async def told(client: Path, story: str, started: Sandbox) -> dict[str, Any]:
    running = await asyncio.create_subprocess_exec(
        "node", "client.mjs", story, started.slack_url, TOKEN,
        cwd=client, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, said = await asyncio.wait_for(running.communicate(), STORY_S)
    assert running.returncode == 0, said.decode()
    answer: dict[str, Any] = json.loads(out)
    return answer


async def test_slacks_node_client_walks_through_every_method_it_is_given(
    node_client: Path, started: Sandbox, control: httpx.AsyncClient
) -> None:
    answer = await told(node_client, "walk", started)

    assert answer == {
        "text": "Done",
        "metadata": {"event_type": "em_delivery", "event_payload": {"id": "d1"}},
        "reactions": ["eyes"],
        "thread": ["Done", "A word"],
        "direct": "D",
        "user": "U0ANA",
        "groups": [["U0ANA"]],
    }


async def test_slacks_node_client_understands_a_refusal(
    node_client: Path, started: Sandbox, control: httpx.AsyncClient
) -> None:
    answer = await told(node_client, "refused", started)

    assert answer == {"code": "slack_webapi_platform_error", "error": "channel_not_found"}


async def test_slacks_node_client_waits_a_storm_out(
    node_client: Path, started: Sandbox, control: httpx.AsyncClient
) -> None:
    storm = {"service": "slack", "kind": "rate_limited", "method": "chat.postMessage", "bites_max": 3}
    await control.post("/faults", json=[storm])

    answer = await told(node_client, "post", started)

    ledger = (await control.get("/slack/ledger")).json()
    arrivals = [entry["arrived_at"] for entry in ledger]
    assert answer["ok"] and [entry["status"] for entry in ledger] == [429, 429, 429, 200]
    assert all(later - earlier >= 1 for earlier, later in pairwise(arrivals))


async def test_a_client_that_retries_what_was_stored_doubles_it_in_the_ledger(
    node_client: Path, started: Sandbox, control: httpx.AsyncClient
) -> None:
    cut = {"service": "slack", "kind": "drop_after", "method": "chat.postMessage", "bites_max": 1}
    await control.post("/faults", json=[cut])

    answer = await told(node_client, "post", started)

    counts = (await control.get("/slack/counts")).json()
    assert answer["ok"] and (counts["posts"], counts["duplicates"]) == (2, 1)


# ---- slack_bolt ------------------------------------------------------------------------------------------------------


class Heard:
    """A Bolt app that notes what reaches its listeners."""

    def __init__(self, slack_url: str, *, secret: str = SECRET) -> None:
        self.listened: list[str] = []
        self._app = App(
            token=TOKEN, signing_secret=secret, token_verification_enabled=False, process_before_response=True
        )
        self._app.client.base_url = slack_url
        self._app.event("app_mention")(self._event)
        self._app.action("approve")(self._action)
        self._app.view("decline")(self._view)
        self._app.command("/em")(self._command)

    def _event(self, event: dict[str, Any]) -> None:
        self.listened.append(f"event {event['text']}")

    def _action(self, ack: Any, action: dict[str, Any]) -> None:
        ack()
        self.listened.append(f"action {action['value']}")

    def _view(self, ack: Any, view: dict[str, Any]) -> None:
        ack()
        self.listened.append(f"view {view['state']['values']['reason']['reason']['value']}")

    def _command(self, ack: Any, command: dict[str, Any]) -> None:
        ack()
        self.listened.append(f"command {command['text']}")

    async def receive(self, body: bytes, *, content_type: str = signing.FORM) -> int:
        headers = signing.slack_request(SECRET, body, content_type=content_type)
        request = BoltRequest(body=body.decode(), headers=dict(headers))
        answer = await asyncio.to_thread(self._app.dispatch, request)
        return int(answer.status)


BUTTON = {
    "type": "actions",
    "block_id": "approval:7:2",
    "elements": [
        {
            "type": "button",
            "action_id": "approve",
            "value": "approve:7:2",
            "text": {"type": "plain_text", "text": "Yes"},
        }
    ],
}
FORM = {
    "id": "V1",
    "type": "modal",
    "callback_id": "decline",
    "blocks": [
        {"type": "input", "block_id": "reason", "element": {"type": "plain_text_input", "action_id": "reason"}},
    ],
}
MENTION = {
    "type": "event_callback",
    "team_id": "T07EMSANDBX",
    "api_app_id": "A07EMAGENT0",
    "event_id": "Ev1",
    "event_time": int(time.time()),
    "event": {"type": "app_mention", "user": "U0ANA", "text": "hello", "ts": "1.000001", "channel": "C1"},
    "authorizations": [{"team_id": "T07EMSANDBX", "user_id": BOT_USER, "is_bot": True}],
}
TRAFFIC: dict[str, tuple[bytes, str, str]] = {
    "event": (json.dumps(MENTION).encode(), "application/json", "event hello"),
    "click": (
        signing.slack_click({"ts": "1.000001", "blocks": [BUTTON]}, "approve", user="U0ANA", channel="C1"),
        signing.FORM,
        "action approve:7:2",
    ),
    "submission": (signing.slack_submission(FORM, {"reason": "freeze"}, user="U0ANA"), signing.FORM, "view freeze"),
    "command": (signing.slack_command("approvals", user="U0ANA", channel="C1"), signing.FORM, "command approvals"),
}


@pytest.mark.parametrize("kind", sorted(TRAFFIC))
async def test_slacks_own_framework_takes_the_signed_traffic(kind: str, started: Sandbox) -> None:
    body, content_type, listened = TRAFFIC[kind]
    app = Heard(started.slack_url)

    assert await app.receive(body, content_type=content_type) == 200
    assert app.listened == [listened]


@pytest.mark.parametrize("kind", sorted(TRAFFIC))
async def test_slacks_own_framework_refuses_it_under_another_secret(kind: str, started: Sandbox) -> None:
    body, content_type, _ = TRAFFIC[kind]
    app = Heard(started.slack_url, secret="another")

    assert await app.receive(body, content_type=content_type) == 401
    assert app.listened == []
