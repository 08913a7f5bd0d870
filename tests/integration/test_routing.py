"""Routes in a running notifier: what waits is told together, lives on as a list, and everything says why."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from em.sandbox.server import Sandbox, sandbox
from em.sandbox.workspace import SlackSettings
from shared.contracts.envelope import event_message
from shared.contracts.events import (
    BuildFinished,
    ChangeMerged,
    ChangeOpened,
    ChatCommand,
    Commit,
    CommitsPushed,
    DeploymentFinished,
    DeploymentStarted,
    Event,
    IncidentOpened,
    IncidentResolved,
    Nudge,
    SignedRequest,
)
from shared.contracts.services import NOTIFIER
from shared.contracts.streams import NOTIFIER_EVENTS
from tests.line import Line, open_line
from tests.waiting import until

TOKEN = "xoxb-sandbox"
WAIT_S = 30
CATALOG = """
people: [{name: ana, github: [ana-k], slack: [U0ANA]}]
teams: [{name: payments, slack_channel: "#payments", members: [ana]}]
services: [{name: checkout, team: payments, repositories: [acme/checkout], incident_services: {pagerduty: [PC]}}]
"""
ROUTES = """
version: 1
routes:
  - {name: bots, if: {kind: change, author_class: bot}, tell: nobody}
  - name: storms
    if: {kind: incident}
    group: {by: [kind, service], wait: 1s, interval: 1s}
"""


class Stage:
    def __init__(self, line: Line, slack: Sandbox, routes: Path) -> None:
        self.line = line
        self.slack = slack
        self.routes = routes

    async def publish(self, events: Sequence[Event]) -> None:
        async with self.line.broker() as connection:
            for event in events:
                message = event_message(event, self.line.subjects)
                await connection.jetstream().publish(message.subject, message.body, headers=dict(message.headers))

        async def is_handled() -> bool:
            return not await self.line.pending(NOTIFIER_EVENTS)

        await until(is_handled, timeout_s=WAIT_S, what="events were not handled")

    async def transcript(self, channel: str = "#payments") -> list[dict[str, Any]]:
        """What everybody sees."""
        return [message for message in await self.messages(channel) if not message["ephemeral_for"]]

    async def messages(self, channel: str) -> list[dict[str, Any]]:
        url = f"{self.slack.control_url}/slack/messages?channel={channel.replace('#', '%23')}"
        messages: list[dict[str, Any]] = (await self.line.http.get(url)).raise_for_status().json()
        return messages

    async def texts(self) -> list[str]:
        return [message["text"] for message in await self.transcript()]

    async def told(self, *starts: str) -> None:
        async def is_told() -> bool:
            texts = await self.texts()
            return len(texts) == len(starts) and all(t.startswith(s) for t, s in zip(texts, starts, strict=True))

        await until(is_told, timeout_s=WAIT_S, what=f"Slack shows {await self.texts()}, not {starts}")

    async def taken(self, version: int) -> None:
        async def is_taken() -> bool:
            rows = await self.line.fetch("SELECT max(number) AS number FROM notifier.route_version")
            return bool(rows[0]["number"] == version)

        await until(is_taken, timeout_s=WAIT_S, what=f"version {version} of the routes was not taken")

    async def explained(self, event: str) -> dict[str, Any]:
        answer = await self.line.http.get(self.line.url(NOTIFIER, f"/v1/notifications/explain?event={event}"))
        found: dict[str, Any] = answer.raise_for_status().json()
        return found


@pytest.fixture
async def stage(nats_url: str, database_url: str, prefix: str, tmp_path: Path) -> AsyncIterator[Stage]:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    (tmp_path / "routes.yaml").write_text(ROUTES)
    async with AsyncExitStack() as stack:
        settings = SlackSettings(token=TOKEN, auto_create=True, posts_per_s=50, post_burst=50)
        slack = await stack.enter_async_context(sandbox(slack_settings=settings))
        environment = {
            "CATALOG_PATH": str(tmp_path / "catalog.yaml"),
            "ROUTES_PATH": str(tmp_path / "routes.yaml"),
            "SLACK_BOT_TOKEN": TOKEN,
            "SLACK_API_URL": slack.slack_url,
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
        opened = Stage(line, slack, tmp_path / "routes.yaml")
        await opened.taken(1)
        yield opened


def now(ago_s: float = 0) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=ago_s)


def stamped(event: Event, name: str, source: str = "github") -> Event:
    return event.stamped(id=f"{name}-{event.kind}", source=source, origin="live", received_at=now())


def typed(text: str) -> Event:
    signed = SignedRequest(body=b"", timestamp="", signature="")
    command = ChatCommand(
        occurred_at=now(), team="T1", user="U0ANA", channel="#payments", command="/em", text=text, signed=signed
    )
    return stamped(command, text, source="slack")


def incident(number: int, event_type: type[IncidentOpened] | type[IncidentResolved] = IncidentOpened) -> Event:
    event = event_type(occurred_at=now(), incident_id=f"I{number}", title=f"Down {number}", service_id="PC")
    return stamped(event, f"I{number}", "pagerduty")


def change(
    number: int, event_type: type[ChangeOpened] | type[ChangeMerged], author: str = "ana", head_ref: str = ""
) -> Event:
    event = event_type(
        occurred_at=now(),
        repository="acme/checkout",
        number=number,
        title=f"Change {number}",
        author=author,
        author_kind="bot" if author.endswith("[bot]") else "human",
        state="merged" if event_type is ChangeMerged else "open",
        head_ref=head_ref,
    )
    return stamped(event, f"C{number}")


async def test_storm_is_one_message_that_lives_on_and_a_resolve_has_its_note(stage: Stage) -> None:
    await stage.publish([incident(number) for number in range(5)])
    await stage.told("Together: 5 incidents open")

    await stage.publish([incident(3, IncidentResolved)])
    await stage.told("Together: 4 incidents open · 1 incident resolved", "Incident resolved: Down 3 (checkout)")
    note = (await stage.transcript())[1]
    assert note["thread_ts"] == (await stage.transcript())[0]["ts"]

    alone = incident(9)
    await stage.publish([alone])
    await stage.told("Together", "Incident resolved", "Incident open: Down 9 (checkout)")
    found = await stage.explained(alone.id)
    assert [(each["decision"], each["route"]) for each in found["reasons"]] == [("group", "routes/storms")]
    assert [message["channel"] for message in found["messages"]] == ["#payments"]


async def test_what_can_wait_is_one_digest_and_bots_are_nobodys_news(stage: Stage) -> None:
    build = BuildFinished(
        occurred_at=now(), repository="acme/checkout", build_id="7", name="CI", branch="main", outcome="failed"
    )
    bot = change(3, ChangeOpened, author="renovate[bot]")
    changes = [change(1, ChangeOpened), change(1, ChangeMerged), change(2, ChangeOpened)]
    await stage.publish([*changes, bot, stamped(build, "B7")])

    gathered = await stage.line.fetch("SELECT thing, channel, how FROM notifier.gathered ORDER BY thing")
    assert [(row["channel"], row["how"]) for row in gathered] == [("#payments", "digest")] * 3
    assert await stage.texts() == []
    found = await stage.explained(bot.id)
    assert [(each["decision"], each["route"]) for each in found["reasons"]] == [("nobody", "routes/bots")]
    assert found["messages"] == []

    await stage.publish([typed("digest now")])
    await stage.told("Today's digest: 1 change merged · 1 change open · 1 build failed")
    [message] = await stage.transcript()
    said = "\n".join(block["text"]["text"] for block in message["blocks"] if block["type"] == "section")
    assert said.count("•") == 3
    assert "renovate" not in said

    async def is_answered() -> bool:
        answers = [each["text"] for each in await stage.messages("#payments") if each["ephemeral_for"] == "U0ANA"]
        return answers == ["What waited for the digest is told now: 3 in #payments."]

    await until(is_answered, timeout_s=WAIT_S, what="whoever asked was not told")

    again = await stage.explained("change:github:acme/checkout:2")
    assert [message["state"] for message in again["messages"]] == ["shown"]


async def test_new_routes_hold_without_a_restart_and_bad_ones_change_nothing(stage: Stage) -> None:
    async def status() -> dict[str, Any]:
        answer = (await stage.line.http.get(stage.line.url(NOTIFIER, "/health"))).json()
        return msgspec.convert(answer["routes"], dict[str, Any])

    stage.routes.write_text("version: 1\nroutes:\n  - {name: x, if: {sevrity: high}}\n")

    async def is_refused() -> bool:
        return "sevrity" in (await status()).get("problem", "")

    await until(is_refused, timeout_s=WAIT_S, what="a bad file was not refused")
    assert (await status())["version"] == 1

    stage.routes.write_text("version: 1\nroutes:\n  - {name: all, if: {kind: change}}\n")

    await stage.taken(2)
    await stage.publish([change(1, ChangeOpened)])
    await stage.told("Change acme/checkout #1 open: Change 1 · by ana")


async def test_who_wants_no_mentions_is_shown_what_happened_without_their_name_called(stage: Stage) -> None:
    def deployment(number: int, event_type: type[DeploymentStarted] | type[DeploymentFinished]) -> Event:
        fields: dict[str, Any] = {"outcome": "failed"} if event_type is DeploymentFinished else {}
        event = event_type(
            occurred_at=now(),
            repository="acme/checkout",
            deployment_id=str(number),
            environment="production",
            sha=f"{number:040x}",
            creator="ana-k",
            **fields,
        )
        return stamped(event, f"D{number}")

    async def failed(number: int) -> str:
        before = len(await stage.texts())
        await stage.publish([deployment(number, DeploymentStarted)])

        async def is_shown() -> bool:
            return len(await stage.texts()) == before + 1

        await until(is_shown, timeout_s=WAIT_S, what="the deployment is not told of")
        await stage.publish([deployment(number, DeploymentFinished)])

        async def is_noted() -> bool:
            return len(await stage.texts()) == before + 2

        await until(is_noted, timeout_s=WAIT_S, what="its failure is not noted")
        return (await stage.texts())[-1]

    assert (await failed(1)).startswith("<@U0ANA> Deploy checkout to production failed")
    await stage.publish([typed("prefs mentions off")])
    assert (await failed(2)).startswith("Deploy checkout to production failed")
    await stage.publish([stamped(Nudge(occurred_at=now(), text="Look", person="ana", service="checkout"), "N1")])

    async def is_nudged() -> bool:
        return "ana: Look" in await stage.texts()

    await until(is_nudged, timeout_s=WAIT_S, what=f"the nudge calls their name: {await stage.texts()}")


async def test_old_facts_are_held_and_say_so(stage: Stage) -> None:
    event = IncidentOpened(occurred_at=now(7 * 3600), incident_id="old", title="Long ago", service_id="PC")
    old = stamped(event, "old", "pagerduty")
    await stage.publish([old])

    [reason] = (await stage.explained(old.id))["reasons"]
    assert (reason["decision"], reason["why"]) == ("held", "it is too old to be news")
    assert await stage.texts() == []


async def test_open_incident_is_told_of_again_and_a_flat_route_uses_no_thread(stage: Stage) -> None:
    route = "{name: x, if: {kind: incident}, thread: flat, repeat: 1s}"
    stage.routes.write_text(f"version: 1\nroutes:\n  - {route}\n")

    await stage.taken(2)
    await stage.publish([incident(1)])

    async def is_told_again() -> bool:
        return (await stage.texts())[:2] == ["Incident open: Down 1 (checkout)"] * 2

    await until(is_told_again, timeout_s=WAIT_S, what="nobody was told again")
    await stage.publish([incident(1, IncidentResolved)])

    async def is_quiet() -> bool:
        rows = await stage.line.fetch("SELECT FROM notifier.message WHERE repeat_at IS NOT NULL OR state = 'ready'")
        return not rows

    await until(is_quiet, timeout_s=WAIT_S, what="it is told of for ever")
    messages = await stage.transcript()
    assert messages[-1]["text"] == messages[0]["text"] == "Incident resolved: Down 1 (checkout)"
    assert not any(message.get("thread_ts") for message in messages)


async def test_route_asks_for_the_files_that_pushes_touched(stage: Stage) -> None:
    stage.routes.write_text('version: 1\nroutes:\n  - {name: docs, if: {paths: "docs/**"}, channel: "#docs"}\n')

    await stage.taken(2)
    commit = Commit(sha="a" * 40, authored_at=now(), files=("docs/guide.md",))
    push = CommitsPushed(
        occurred_at=now(),
        repository="acme/Checkout",
        ref="refs/heads/topic",
        branch="topic",
        before="0" * 40,
        after="a" * 40,
        default_branch="main",
        commits=(commit,),
    )
    await stage.publish([stamped(push, "push"), change(1, ChangeOpened, head_ref="topic"), change(2, ChangeOpened)])

    async def is_told() -> bool:
        return len(await stage.transcript("#docs")) == 1

    await until(is_told, timeout_s=WAIT_S, what="the change is not told of")
    assert (await stage.transcript("#docs"))[0]["text"].startswith("Change acme/checkout #1 open")
