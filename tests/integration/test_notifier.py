"""notifier as a process, against real NATS and PostgreSQL and the sandbox Slack: the sandbox's ledger is the judge."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from aiohttp import ClientError, ClientSession, web

from em.sandbox.server import Sandbox, sandbox
from em.sandbox.workspace import SlackSettings
from shared.contracts.envelope import encode_event, event_headers
from shared.contracts.events import (
    ApprovalDecided,
    ApprovalNumbers,
    ApprovalRequested,
    ApprovalSummarized,
    ApprovalVoted,
    Bulletin,
    ChatCommand,
    DeploymentFinished,
    DeploymentRequested,
    DeploymentStarted,
    Event,
    IncidentAcknowledged,
    IncidentOpened,
    IncidentResolved,
    Item,
    Reply,
    Section,
    SignedRequest,
    Vote,
)
from shared.contracts.services import NOTIFIER
from shared.contracts.streams import NOTIFIER_EVENTS, NOTIFIER_NOTIFY
from tests.line import Line, open_line
from tests.waiting import until

TOKEN = "xoxb-sandbox"
CATALOG = """
people: [{name: ana, github: [ana-k], slack: [U0ANA]}]
teams: [{name: books, slack_channel: "#search"}]
services:
  - {name: checkout, repositories: [acme/checkout], slack_channel: "#payments"}
  - {name: search, repositories: [acme/search], slack_channel: "#search"}
  - {name: drop_after, repositories: [acme/drop_after], slack_channel: "#drop_after"}
  - {name: drop_before, repositories: [acme/drop_before], slack_channel: "#drop_before"}
  - {name: timeout, repositories: [acme/timeout], slack_channel: "#timeout"}
  - {name: server_error, repositories: [acme/server_error], slack_channel: "#server_error"}
"""
SLACK = SlackSettings(token=TOKEN, auto_create=True, posts_per_s=20, post_burst=20)
WAIT_S = 30


class Gate:
    """A proxy before the sandbox. While shut, requests take effect and their answers are kept back."""

    def __init__(self) -> None:
        self.target = ""
        self.kept = 0
        self._open = asyncio.Event()
        self._open.set()

    def shut(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    async def forward(self, request: web.Request) -> web.Response:
        headers = {name: request.headers[name] for name in ("Authorization", "Content-Type") if name in request.headers}
        url = f"{self.target}{request.match_info['method']}"
        async with ClientSession() as client:
            try:
                answer = await client.request(
                    request.method, url, params=request.query, data=await request.read(), headers=headers
                )
                body = await answer.read()
            except ClientError:
                return _cut(request)
        self.kept += not self._open.is_set()
        await self._open.wait()
        kept = {name: answer.headers[name] for name in ("Content-Type", "Retry-After") if name in answer.headers}
        return web.Response(status=answer.status, body=body, headers=kept)


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # never leaves


class Stage:
    """notifier, what it reads, and the Slack that it talks to."""

    def __init__(self, line: Line, slack: Sandbox, gate: Gate) -> None:
        self.line = line
        self.gate = gate
        self._slack = slack

    async def publish(self, events: Sequence[Event]) -> None:
        async with self.line.broker() as connection:
            for event in events:
                notify = isinstance(event, Reply | Bulletin)
                subject = self.line.subjects.notify if notify else self.line.subjects.event(event.kind)
                # Copies are meant to arrive: what swallows them must be the inbox, not the stream's window.
                headers = {**event_headers(event), "Nats-Msg-Id": f"{event.id}-{random.random()}"}
                await connection.jetstream().publish(subject, encode_event(event), headers=headers)

    async def control(self, path: str, body: Any = None) -> Any:
        url = f"{self._slack.control_url}{path}"
        answer = await (self.line.http.get(url) if body is None else self.line.http.post(url, json=body))
        return answer.raise_for_status().json()

    async def counts(self) -> dict[str, int]:
        counts: dict[str, int] = await self.control("/slack/counts")
        return counts

    async def transcript(self, channel: str) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = await self.control(f"/slack/messages?channel={channel.replace('#', '%23')}")
        return messages

    async def posts(self) -> list[dict[str, Any]]:
        ledger = await self.control("/slack/ledger")
        return [entry for entry in ledger if entry["method"] == "chat.postMessage"]

    async def get(self, path: str) -> httpx.Response:
        return await self.line.http.get(self.line.url(NOTIFIER, path))

    async def states(self) -> list[str]:
        rows = await self.line.fetch("SELECT state FROM notifier.message ORDER BY key")
        return [row["state"] for row in rows]

    async def all_shown(self, count: int) -> None:
        async def shown() -> bool:
            return await self.states() == ["shown"] * count and await self._nothing_waits()

        await until(shown, timeout_s=WAIT_S, what=f"{count} messages were not shown")

    async def handled(self) -> None:
        await until(self._nothing_waits, timeout_s=WAIT_S, what="events were not handled")

    async def _nothing_waits(self) -> bool:
        pending = [await self.line.pending(durable) for durable in (NOTIFIER_EVENTS, NOTIFIER_NOTIFY)]
        return not any(pending)


@pytest.fixture
async def stage(nats_url: str, database_url: str, prefix: str, tmp_path: Path) -> AsyncIterator[Stage]:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    gate = Gate()
    app = web.Application()
    app.router.add_route("*", "/api/{method}", gate.forward)
    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(sandbox(slack_settings=SLACK))
        gate.target = slack.slack_url
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        environment = {
            "CATALOG_PATH": str(tmp_path / "catalog.yaml"),
            "SLACK_BOT_TOKEN": TOKEN,
            "SLACK_API_URL": f"http://127.0.0.1:{runner.addresses[0][1]}/api/",
            "SLACK_TIMEOUT_S": "1",
            "SLACK_RECONCILE_GRACE_S": "0.5",
            "SLACK_RECONCILE_PAUSE_S": "0.5",
        }
        line = await stack.enter_async_context(
            open_line(
                nats_url=nats_url,
                database_url=database_url,
                prefix=prefix,
                directory=tmp_path,
                environment=environment,
            )
        )
        await line.start(NOTIFIER)
        stack.callback(gate.open)
        opened = Stage(line, slack, gate)
        for channel in ("#payments", "#search"):
            await opened.control("/slack/channels", {"name": channel})
        yield opened


def ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def stamped(event: Event, *, source: str, name: str) -> Event:
    return event.stamped(id=f"{name}-{event.kind}", source=source, origin="live", received_at=datetime.now(UTC))


def deployment(number: int, repository: str = "acme/checkout") -> list[Event]:
    fields: dict[str, Any] = {
        "repository": repository,
        "deployment_id": str(number),
        "environment": "production",
        "sha": f"{number:040x}",
        "creator": "ana-k",
    }
    story = [
        DeploymentRequested(occurred_at=ago(90), **fields),
        DeploymentStarted(occurred_at=ago(80), **fields),
        DeploymentFinished(occurred_at=ago(10), outcome="succeeded", **fields),
    ]
    return [stamped(event, source="github", name=f"{repository}-{number}") for event in story]


def incident() -> list[Event]:
    fields: dict[str, Any] = {"incident_id": "Q1", "title": "Search is slow", "service_name": "search"}
    story = [
        IncidentOpened(occurred_at=ago(300), **fields),
        IncidentAcknowledged(occurred_at=ago(200), **fields),
        IncidentResolved(occurred_at=ago(100), **fields),
    ]
    return [stamped(event, source="pagerduty", name="Q1") for event in story]


def approval() -> list[Event]:
    fields: dict[str, Any] = {
        "occurred_at": ago(5),
        "approval_id": 4,
        "revision": 1,
        "action": "deploy",
        "subject": "acme/checkout@1",
        "service": "checkout",
        "environment": "production",
        "group": "release",
        "required": 2,
        "expires_at": datetime.now(UTC) + timedelta(hours=4),
    }
    ana, bo = Vote(person="ana", verb="approve"), Vote(person="bo", verb="approve")
    story = [
        ApprovalRequested(version=1, status="pending", **fields),
        ApprovalVoted(version=2, status="pending", votes=(ana,), **fields),
        ApprovalDecided(version=3, status="approved", votes=(ana, bo), **fields),
    ]
    return [stamped(event, source="approvals_svc", name="approval-4") for event in story]


async def test_one_message_per_thing_is_posted_and_then_updated(stage: Stage) -> None:
    stories = (deployment(1), incident(), approval())

    for step in range(3):
        await stage.publish([story[step] for story in stories])
        await stage.all_shown((2, 3, 4)[step])  # that a deployment was asked for is no news yet; a resolve is noted

    assert await stage.counts() == {"posts": 4, "updates": 5, "ephemerals": 0, "duplicates": 0}
    payments = await stage.transcript("#payments")
    assert {message["text"] for message in payments} == {
        "Deploy checkout to production succeeded after 1 min 10 s · 0000000 · by ana-k",
        "Deploy checkout to production: approved by ana, bo",
    }
    assert not any(block["type"] == "actions" for message in payments for block in message["blocks"])
    card, note = await stage.transcript("#search")
    assert {card["text"], note["text"]} == {"Incident resolved: Search is slow (search)"}
    assert note["thread_ts"] == card["ts"]


async def test_a_word_in_the_thread_tells_that_a_deployment_failed_and_who_has_to_look(stage: Stage) -> None:
    requested, started, finished = deployment(1)
    assert isinstance(finished, DeploymentFinished)
    failed = msgspec.structs.replace(finished, outcome="failed")
    await stage.publish([requested, started])
    await stage.all_shown(1)

    await stage.publish([failed, failed])
    await stage.all_shown(2)

    card, note = await stage.transcript("#payments")
    line = "Deploy checkout to production failed after 1 min 10 s · 0000000 · by ana-k"
    assert (card["text"], card["thread_ts"]) == (line, None)
    assert (note["text"], note["thread_ts"]) == (f"<@U0ANA> {line}", card["ts"])
    assert await stage.counts() == {"posts": 2, "updates": 1, "ephemerals": 0, "duplicates": 0}


async def test_a_word_that_may_have_been_said_is_looked_for_in_its_thread_and_not_repeated(stage: Stage) -> None:
    story = incident()
    await stage.publish(story[:1])
    await stage.all_shown(1)
    rule = {"service": "slack", "kind": "drop_after", "method": "chat.postMessage", "nth": 1}
    await stage.control("/faults", [rule])

    await stage.publish(story[2:])
    await stage.all_shown(2)

    card, note = await stage.transcript("#search")
    assert (note["text"], note["thread_ts"]) == ("Incident resolved: Search is slow (search)", card["ts"])
    assert (await stage.counts())["duplicates"] == 0


async def test_what_a_replay_tells_changes_the_card_and_says_no_word(stage: Stage) -> None:
    story = incident()
    await stage.publish(story[:1])
    await stage.all_shown(1)

    await stage.publish([msgspec.structs.replace(story[2], origin="replay")])
    await stage.handled()
    await until(lambda: _is(stage, ["shown"]), timeout_s=WAIT_S, what="the card was not edited")

    [card] = await stage.transcript("#search")
    assert card["text"] == "Incident resolved: Search is slow (search)"


async def test_events_twice_and_shuffled_make_one_post_per_thing_with_the_same_content(stage: Stage) -> None:
    events = [*deployment(1), *deployment(2), *deployment(3, "acme/search"), *incident(), *approval()] * 2
    random.Random(7).shuffle(events)

    for event in events:
        await stage.publish([event])
    await stage.all_shown(5)

    counts = await stage.counts()
    assert (counts["posts"], counts["duplicates"]) == (5, 0)
    texts = {message["text"] for channel in ("#payments", "#search") for message in await stage.transcript(channel)}
    assert len(texts) == 4  # the two of checkout look alike
    assert all("succeeded" in text or "resolved" in text or "approved" in text for text in texts)


async def test_what_is_replayed_or_old_posts_nothing_and_is_held_back_with_its_reason(stage: Stage) -> None:
    replayed = [msgspec.structs.replace(event, origin="replay") for event in [*deployment(1), *approval()]]
    old = [msgspec.structs.replace(event, occurred_at=ago(7200)) for event in deployment(2)]

    await stage.publish([*replayed, *old])
    await stage.handled()

    held = (await stage.get("/v1/notifications/held")).json()
    assert held["counts"] == {"origin": 5, "stale": 2}
    assert {item["key"] for item in held["items"]} == {
        "approval:4",
        "deployment:github:acme/checkout:1",
        "deployment:github:acme/checkout:2",
    }
    assert (await stage.get("/v1/notifications")).json()["items"] == []
    assert (await stage.counts())["posts"] == 0


async def test_a_rate_limit_is_waited_out_as_long_as_slack_says(stage: Stage) -> None:
    rule = {"service": "slack", "kind": "rate_limited", "method": "chat.postMessage", "nth": 1, "retry_after": "3"}
    await stage.control("/faults", [rule])

    await stage.publish([deployment(1)[1], deployment(2)[1]])
    await stage.all_shown(2)

    limited, *later = await stage.posts()
    assert limited["fault"] == "rate_limited"
    assert min(entry["arrived_at"] for entry in later) >= limited["arrived_at"] + 3
    assert len(later) == 2


async def test_a_post_without_an_answer_is_there_once_in_the_end(stage: Stage) -> None:
    faults = ("drop_after", "drop_before", "timeout", "server_error")
    for fault in faults:
        await stage.control("/slack/channels", {"name": f"#{fault}"})
        rule = {"service": "slack", "kind": fault, "method": "chat.postMessage", "channel": f"#{fault}", "nth": 1}
        await stage.control("/faults", [rule])

    await stage.publish([event for fault in faults for event in deployment(1, f"acme/{fault}")])
    await stage.all_shown(len(faults))

    assert (await stage.control("/faults"))["never_bit"] == []
    counts = await stage.counts()
    assert (counts["posts"], counts["duplicates"]) == (len(faults), 0)
    for fault in faults:
        [message] = await stage.transcript(f"#{fault}")
        assert "succeeded" in message["text"]


async def test_an_update_without_an_answer_is_made_again(stage: Stage) -> None:
    story = deployment(1)
    await stage.publish(story[:2])
    await stage.all_shown(1)
    await stage.control("/faults", [{"service": "slack", "kind": "drop_before", "method": "chat.update", "nth": 1}])

    await stage.publish(story[2:])

    async def has_bitten() -> bool:
        return bool((await stage.control("/faults"))["never_bit"] == [])

    await until(has_bitten, timeout_s=20, what="no update was tried")
    await stage.all_shown(1)
    [message] = await stage.transcript("#payments")
    assert "succeeded" in message["text"]


async def test_killed_after_slack_stored_a_post_and_before_it_was_noted_nothing_is_doubled(stage: Stage) -> None:
    stage.gate.shut()
    await stage.publish([*deployment(1), *deployment(2, "acme/search"), *incident()])

    async def both_kept() -> bool:
        return stage.gate.kept >= 2 and (await stage.counts())["posts"] >= 2

    await until(both_kept, timeout_s=WAIT_S, what="no post was under way")
    await stage.line.servers["notifier"].kill()
    stage.gate.open()
    assert (await stage.states()).count("sending") == 2
    await stage.line.start(NOTIFIER)
    await stage.all_shown(3)

    counts = await stage.counts()
    assert (counts["posts"], counts["duplicates"]) == (3, 0)


async def test_killed_before_slack_stored_a_post_nothing_is_lost(stage: Stage) -> None:
    rule = {"service": "slack", "kind": "timeout", "method": "chat.postMessage", "bites_max": 1}
    await stage.control("/faults", [rule])
    await stage.publish(deployment(1))

    async def under_way() -> bool:
        return await stage.states() == ["sending"] and len(await stage.posts()) == 1

    await until(under_way, timeout_s=WAIT_S, what="no post was under way")
    await stage.line.servers["notifier"].kill()
    await stage.line.start(NOTIFIER)
    await stage.all_shown(1)

    counts = await stage.counts()
    assert (counts["posts"], counts["duplicates"]) == (1, 0)


async def test_killed_anywhere_in_mid_traffic_nothing_is_lost_or_doubled(stage: Stage, scale: int) -> None:
    things, dice = 12, random.Random(3)
    events = [event for n in range(things) for event in deployment(n, dice.choice(["acme/checkout", "acme/search"]))]
    dice.shuffle(events)

    for round_ in range(3 * scale):
        await stage.publish(events[round_ % 3 :: 3])
        await asyncio.sleep(dice.uniform(0.1, 1.5))
        await stage.line.servers["notifier"].kill()
        await stage.line.start(NOTIFIER)
    await stage.all_shown(things)

    counts = await stage.counts()
    assert (counts["posts"], counts["duplicates"]) == (things, 0)
    messages = [*await stage.transcript("#payments"), *await stage.transcript("#search")]
    assert all("succeeded" in message["text"] for message in messages)


async def test_a_refused_token_keeps_the_rows_and_is_said(stage: Stage) -> None:
    await stage.control("/slack/settings", {"token": "xoxb-another"})

    await stage.publish(deployment(1))

    async def said() -> bool:
        problems: dict[str, str] = (await stage.get("/ready")).json()["problems"]
        return problems == {"slack": "slack: invalid_auth"}

    await until(said, timeout_s=WAIT_S, what="the refused token was not said")
    assert await stage.states() == ["ready"]
    assert len(await stage.posts()) == 1


async def test_a_channel_that_does_not_exist_is_given_up_with_its_reason(stage: Stage) -> None:
    await stage.control("/slack/settings", {"auto_create": False})

    await stage.publish(deployment(1, "acme/nobodys")[1:2])
    await until(lambda: _is(stage, ["dead"]), timeout_s=WAIT_S, what="the message was not given up")

    [item] = (await stage.get("/v1/notifications?state=dead")).json()["items"]
    assert item["last_error"] == "destination: channel_not_found"


async def test_help_unknown_commands_and_replies_are_answered_to_one_person(stage: Stage) -> None:
    signed = SignedRequest(body=b"", timestamp="", signature="")

    def command(text: str, name: str) -> Event:
        event = ChatCommand(
            occurred_at=ago(1), team="T1", user="U0ANA", channel="C0PAY", command="/em", text=text, signed=signed
        )
        return stamped(event, source="slack", name=name)

    reply = Reply(occurred_at=ago(1), team="T1", user="U0BO", channel="#payments", text="Your vote <!channel>")
    channel = await stage.control("/slack/channels", {"name": "#payments", "members": ["U0ANA", "U0BO"]})
    commands = [command("help", "one"), command("aprove 7", "two"), command("approvals", "three")]
    asked = [msgspec.structs.replace(event, channel=channel["id"]) for event in commands]
    await stage.publish([*asked, *asked, stamped(reply, source="approvals_svc", name="reply")])

    async def answered() -> bool:
        return (await stage.counts())["ephemerals"] == 3

    await until(answered, timeout_s=WAIT_S, what="not everybody was answered")
    told = [(message["ephemeral_for"], message["text"]) for message in await stage.transcript("#payments")]
    assert ("U0BO", "Your vote &lt;!channel&gt;") in told
    assert any(user == "U0ANA" and "Did you mean `/em approve`?" in text for user, text in told)
    assert (await stage.counts())["posts"] == 0


async def test_a_list_is_posted_with_its_rest_in_the_thread_and_who_asked_hears_where(stage: Stage) -> None:
    items = tuple(Item(subject=f"acme/checkout#{number}") for number in range(1, 31))
    channel = await stage.control("/slack/channels", {"name": "#payments", "members": ["U0ANA"]})
    told = Bulletin(
        occurred_at=ago(5),
        about="triage",
        title="Triage",
        sections=(Section(title="Untouched for long", n=30, items=items),),
        team="books",
        user="U0ANA",
        asked_in=channel["id"],
    )
    late = msgspec.structs.replace(told, occurred_at=ago(7_200), title="Late", until=ago(-60), user="")
    too_late = msgspec.structs.replace(told, occurred_at=ago(7_200), title="Too late", until=ago(60), user="")
    await stage.publish([stamped(each, source="metrics_svc", name=each.title) for each in (told, told, late, too_late)])
    await stage.all_shown(4)

    async def answered() -> bool:
        return (await stage.counts())["ephemerals"] == 1

    await until(answered, timeout_s=WAIT_S, what="whoever asked was not told where it is")
    search = await stage.transcript("#search")
    assert [m["text"] for m in search if not m["thread_ts"]] == [
        "Triage: 30 untouched for long",
        "Late: 30 untouched for long",
    ]
    [lead, *_] = search
    [note] = [m for m in search if m["thread_ts"] == lead["ts"]]
    assert note["text"].count("• ") == 20 and note["text"].endswith("acme/checkout#30")
    [answer] = await stage.transcript("#payments")
    place = f"archives/{lead['channel']}/p{lead['ts'].replace('.', '')}"
    assert answer["text"].startswith(f"Posted: <https://em-sandbox.slack.com/{place}|the message> in ")


async def test_without_a_token_nothing_is_sent_and_the_rows_say_so(
    nats_url: str, database_url: str, prefix: str, tmp_path: Path
) -> None:
    async with open_line(
        nats_url=nats_url, database_url=database_url, prefix=prefix, directory=tmp_path, environment={}
    ) as line:
        await line.start(NOTIFIER)
        stage = Stage(line, Sandbox(), Gate())

        await stage.publish(deployment(1))
        await until(lambda: _is(stage, ["dry_run"]), timeout_s=WAIT_S, what="the message was not marked")

        health = (await stage.get("/health")).json()
        assert "dry run" in health["integrations"]["slack"]
        [item] = (await stage.get("/v1/notifications")).json()["items"]
        assert (item["channel"], item["shown_version"]) == ("#engineering", 0)


async def _is(stage: Stage, states: list[str]) -> bool:
    return await stage.states() == states


async def test_week_of_approvals_is_told_once_in_the_channel_of_its_team(stage: Stage) -> None:
    numbers = ApprovalNumbers(asked=3, decided=3, declined=0, auto=0, expired=0, p50_s=60.0, p90_s=90.0, over_sla=0)
    week = ApprovalSummarized(occurred_at=ago(5), team="books", week=ago(5).date(), sla_s=14_400.0, numbers=numbers)
    told = stamped(week, source="approvals_svc", name="books")

    await stage.publish([told, told, msgspec.structs.replace(told, id="said-again")])

    await stage.all_shown(1)
    [posted] = await stage.transcript("#search")
    assert posted["text"].startswith("Approvals of books, week of ")
    assert len(await stage.posts()) == 1
