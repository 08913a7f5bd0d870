"""Approvals in a running notifier: those who can decide are asked, each alone, and who asked hears the end."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from em.sandbox.server import Sandbox, sandbox
from em.sandbox.workspace import SlackSettings
from shared.contracts.envelope import encode_event, event_headers
from shared.contracts.events import (
    Approval,
    ApprovalDecided,
    ApprovalEscalated,
    ApprovalReminded,
    ApprovalRequested,
    ApprovalVoted,
    Evidence,
    ShippedChange,
    Vote,
)
from shared.contracts.services import NOTIFIER
from shared.contracts.streams import NOTIFIER_EVENTS
from tests.line import Line, open_line
from tests.waiting import until

TOKEN = "xoxb-sandbox"
WAIT_S = 30
CATALOG = """
people:
  - {name: ana, slack: [U0ANA]}
  - {name: ben, slack: [U0BEN]}
  - {name: cy, slack: [U0CY]}
  - {name: dee, slack: [U0DEE]}
  - {name: gone, slack: [U0GONE]}
services: [{name: checkout, repositories: [acme/checkout], slack_channel: "#payments"}]
"""
PEOPLE = ("ana", "ben", "cy", "dee")
BEN, CY = Vote(person="ben", verb="approve", slack_user="U0BEN"), Vote(person="cy", verb="approve", slack_user="U0CY")


class Stage:
    def __init__(self, line: Line, slack: Sandbox) -> None:
        self.line = line
        self._slack = slack

    async def publish(self, *events: Approval) -> None:
        """Copies of it, too: what swallows them is the inbox and what stands, not the stream's window."""
        async with self.line.broker() as connection:
            for number, event in enumerate([*events, *events]):
                headers = {**event_headers(event), "Nats-Msg-Id": f"{event.id}-{number}"}
                subject = self.line.subjects.event(event.kind)
                await connection.jetstream().publish(subject, encode_event(event), headers=headers)

        async def is_handled() -> bool:
            return not await self.line.pending(NOTIFIER_EVENTS)

        await until(is_handled, timeout_s=WAIT_S, what="events were not handled")

    async def control(self, path: str, body: Any = None) -> Any:
        url = f"{self._slack.control_url}{path}"
        answer = await (self.line.http.get(url) if body is None else self.line.http.post(url, json=body))
        return answer.raise_for_status().json()

    async def shown(self, **texts: Sequence[str]) -> None:
        """What stands with each person (their name) or in `payments`, by the ends of its lines; nothing elsewhere."""

        async def is_shown() -> bool:
            found = await self.seen()
            return found.keys() == texts.keys() and all(
                len(found[place]) == len(ends) and all(map(str.endswith, found[place], ends))
                for place, ends in texts.items()
            )

        await until(is_shown, timeout_s=WAIT_S, what=f"Slack shows {await self.seen()}, not {texts}")

    async def seen(self) -> dict[str, list[str]]:
        seen: dict[str, list[str]] = {}
        for message in await self.control("/slack/messages"):
            seen.setdefault(message["channel_name"].strip("@#"), []).append(message["text"])
        return seen


@pytest.fixture
async def stage(nats_url: str, database_url: str, prefix: str, tmp_path: Path) -> AsyncIterator[Stage]:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    async with AsyncExitStack() as stack:
        settings = SlackSettings(token=TOKEN, auto_create=False, posts_per_s=50, post_burst=50)
        slack = await stack.enter_async_context(sandbox(slack_settings=settings))
        environment = {
            "CATALOG_PATH": str(tmp_path / "catalog.yaml"),
            "SLACK_BOT_TOKEN": TOKEN,
            "SLACK_API_URL": slack.slack_url,
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
        opened = Stage(line, slack)
        await opened.control("/slack/channels", {"name": "#payments"})
        for person in PEOPLE:
            await opened.control("/slack/users", {"id": f"U0{person.upper()}", "name": person})
        yield opened


def approval(kind: type[Approval], version: int, /, **fields: Any) -> Approval:
    given: dict[str, Any] = {
        "occurred_at": datetime.now(UTC),
        "approval_id": 4,
        "revision": 1,
        "version": version,
        "status": "pending",
        "action": "deploy",
        "subject": "acme/checkout@1",
        "service": "checkout",
        "environment": "production",
        "requested_by": "ana",
        "required": 2,
        "approvers": ("U0ANA", "U0BEN", "U0CY"),
        "expires_at": datetime.now(UTC) + timedelta(hours=4),
        **fields,
    }
    return kind(**given).stamped(
        id=f"approval-4-{version}", source="approvals_svc", origin="live", received_at=datetime.now(UTC)
    )


async def test_deciders_are_asked_alone_and_who_asked_hears_the_end_once(stage: Stage) -> None:
    await stage.publish(approval(ApprovalRequested, 1))
    await stage.shown(ben=["0 of 2"], cy=["0 of 2"])

    await stage.publish(approval(ApprovalVoted, 2, votes=(BEN,)))
    await stage.shown(ben=["1 of 2, you"], cy=["1 of 2: ben"])

    end = approval(ApprovalDecided, 3, status="approved", votes=(BEN, CY))
    await stage.publish(end)
    await stage.publish(end)
    await stage.shown(ana=["approved by ben, cy"], ben=["approved by you, cy"], cy=["approved by ben, you"])
    messages = await stage.control("/slack/messages")
    assert not any(block["type"] == "actions" for message in messages for block in message["blocks"])
    assert (await stage.control("/slack/counts"))["posts"] == 3


async def test_who_joins_is_asked_by_a_new_message_and_who_has_not_voted_is_reminded(stage: Stage) -> None:
    await stage.publish(approval(ApprovalRequested, 1), approval(ApprovalVoted, 2, votes=(BEN,)))
    await stage.shown(ben=["1 of 2, you"], cy=["1 of 2: ben"])

    await stage.publish(approval(ApprovalReminded, 3, votes=(BEN,)))
    await stage.shown(ben=["1 of 2, you"], cy=["1 of 2: ben"] * 2)
    joined = ("U0ANA", "U0BEN", "U0CY", "U0DEE")
    await stage.publish(approval(ApprovalEscalated, 4, votes=(BEN,), approvers=joined, to="sre"))
    await stage.shown(ben=["1 of 2, you"], cy=["1 of 2: ben"] * 2, dee=["1 of 2: ben"])

    messages = await stage.control("/slack/messages")
    [card, note] = [message for message in messages if message["channel_name"] == "@cy"]
    assert (note["thread_ts"], note["text"].startswith("<@U0CY> ")) == (card["ts"], True)


async def test_an_account_that_is_gone_and_an_answer_that_is_lost_keep_nobody_else_from_hearing(stage: Stage) -> None:
    lost = {"service": "slack", "kind": "drop_after", "method": "chat.postMessage", "nth": 1, "channel": "U0BEN"}
    await stage.control("/faults", [lost])

    await stage.publish(approval(ApprovalRequested, 1, approvers=("U0GONE", "U0BEN", "U0CY")))
    await stage.shown(ben=["0 of 2"], cy=["0 of 2"])
    await stage.publish(approval(ApprovalVoted, 2, approvers=("U0GONE", "U0BEN", "U0CY"), votes=(BEN,)))
    await stage.shown(ben=["1 of 2, you"], cy=["1 of 2: ben"])

    assert (await stage.control("/slack/counts"))["duplicates"] == 0


async def test_what_speaks_for_it_stands_once_in_the_thread_of_each_card_and_anew_with_another_revision(
    stage: Stage,
) -> None:
    change = ShippedChange(number=12, title="Sum in cents <!here>", author="ana-k", lines=84)
    known = Evidence(changes=(change,), changes_n=1, lines=84, size="S")
    await stage.publish(approval(ApprovalRequested, 1, evidence=known, approvers=("U0BEN", "U0CY")))
    listed = ["1 change, 84 lines (S)*", "• #12 Sum in cents &lt;!here&gt; · ana-k · 84 lines"]
    told = "\n".join(listed)
    await stage.shown(ben=["84 lines (S) · 0 of 2", told], cy=["84 lines (S) · 0 of 2", told])

    voted = approval(ApprovalVoted, 2, evidence=known, approvers=("U0BEN", "U0CY"), votes=(BEN,))
    await stage.publish(voted)
    await stage.shown(ben=["1 of 2, you", told], cy=["1 of 2: ben", told])
    edited = approval(ApprovalRequested, 3, revision=2, evidence=Evidence(commits=3), approvers=("U0BEN", "U0CY"))
    await stage.publish(edited)
    await stage.shown(ben=["3 commits · 0 of 2", told, "*3 commits*"], cy=["3 commits · 0 of 2", told, "*3 commits*"])

    card, *notes = [m for m in await stage.control("/slack/messages") if m["channel_name"] == "@cy"]
    assert {note["thread_ts"] for note in notes} == {card["ts"]}


async def test_where_none_of_those_who_may_decide_can_be_told_the_channel_is_once(stage: Stage) -> None:
    event = approval(ApprovalRequested, 1, approvers=("U0GONE",), evidence=Evidence(commits=3))

    await stage.publish(event)
    await stage.shown(payments=["3 commits · 0 of 2", "*3 commits*"])
    await stage.publish(approval(ApprovalVoted, 2, approvers=("U0GONE",), evidence=Evidence(commits=3), votes=(BEN,)))
    await stage.shown(payments=["1 of 2: ben", "*3 commits*"])

    url = stage.line.url(NOTIFIER, f"/v1/notifications/explain?event={event.id}")
    reasons = (await stage.line.http.get(url)).raise_for_status().json()["reasons"]
    assert [(r["channel"], r["why"]) for r in reasons if r["channel"] == "#payments"] == [
        ("#payments", "at once; here, as none of those who may decide could be told")
    ]


async def test_where_nobody_can_be_asked_the_channel_is_and_says_why(stage: Stage) -> None:
    event = approval(ApprovalRequested, 1, approvers=("U0ANA",))

    await stage.publish(event)
    await stage.shown(payments=["0 of 2"])

    url = stage.line.url(NOTIFIER, f"/v1/notifications/explain?event={event.id}")
    reasons = (await stage.line.http.get(url)).raise_for_status().json()["reasons"]
    assert {(reason["channel"], reason["decision"], reason["why"]) for reason in reasons} == {
        ("U0ANA", "nobody", "who asks is not asked"),
        ("#payments", "now", "at once; here, as nobody who may decide is known in Slack"),
    }
