"""Nudges, notices and signed webhooks: asked for over HTTP, told once, on a real broker and a real database."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from approvals_svc.wording import STRANGER
from em.sandbox.server import Sandbox, sandbox
from em.sandbox.workspace import SlackSettings
from shared.contracts.services import APPROVALS_SVC, NOTIFIER
from tests.backends import own_database
from tests.line import open_line
from tests.office import Office, environment
from tests.provisioning import provisioned, removed
from tests.receiver import SECRETS, Receiver, local_receiver
from tests.waiting import until

SLACK = SlackSettings(token="xoxb-right", posts_per_s=20, post_burst=20)
NOTES = {"service": "notes"}  # which a rule lets through
CHANNELS = ("#engineering", "#releases")


@pytest.fixture(scope="module")
async def slack() -> AsyncIterator[Sandbox]:
    async with sandbox(slack_settings=SLACK) as running:
        yield running


@pytest.fixture(scope="module")
async def receiver(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Receiver]:
    async with local_receiver(tmp_path_factory.mktemp("receiver")) as opened:
        yield opened


@pytest.fixture(scope="module", params=["xoxb-right", ""], ids=["slack", "dry run"])
async def both(
    request: pytest.FixtureRequest,
    nats_url: str,
    postgres_url: str,
    counterparts: Sandbox,
    slack: Sandbox,
    receiver: Receiver,
    app_key: rsa.RSAPrivateKey,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Office]:
    """approvals-svc and notifier, with a token for Slack or without."""
    prefix = f"t{uuid4().hex[:10]}"
    await provisioned(nats_url, prefix)
    directory = tmp_path_factory.mktemp("nudges")
    async with AsyncExitStack() as stack:
        line = await stack.enter_async_context(
            open_line(
                nats_url=nats_url,
                database_url=await stack.enter_async_context(own_database(postgres_url)),
                prefix=prefix,
                directory=directory,
                environment={
                    **environment(directory, counterparts, app_key),
                    "SLACK_BOT_TOKEN": request.param,
                    "SLACK_API_URL": slack.slack_url,
                    "WEBHOOK_TARGETS": f"ci={receiver.url}",
                    "WEBHOOK_TARGET_SECRETS": f"ci={SECRETS[0]}",
                    "WEBHOOK_PRIVATE_HOSTS": "127.0.0.1",
                    "WEBHOOK_CA_FILE": str(receiver.ca_file),
                    "SLACK_TIMEOUT_S": "1",
                    "SLACK_RECONCILE_GRACE_S": "0.5",
                    "SLACK_RECONCILE_PAUSE_S": "0.5",
                },
            )
        )
        await line.start(APPROVALS_SVC, NOTIFIER)
        control = await stack.enter_async_context(httpx.AsyncClient(base_url=slack.control_url))
        yield Office(line, counterparts.github_url, control)
    await removed(nats_url, prefix)


@pytest.fixture
async def office(both: Office) -> Office:
    await both.control.post("/reset")
    for name in CHANNELS:
        await both.control.post("/slack/channels", json={"name": name})
    return both


def only(mode: str) -> pytest.MarkDecorator:
    """With Slack, or as a dry run."""
    return pytest.mark.parametrize("both", ["xoxb-right" if mode == "slack" else ""], indirect=True, ids=[mode])


async def run(office: Office, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    url = office.line.url(APPROVALS_SVC, "/v1/workflows/run")
    answer = await office.line.http.post(url, json=body, headers={**office.token("ana"), **headers})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def notify(office: Office, number: int, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    url = office.line.url(APPROVALS_SVC, f"/v1/approvals/{number}/notify")
    answer = await office.line.http.post(url, json=body, headers={**office.token("ana"), **headers})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def job(office: Office, number: int) -> dict[str, Any]:
    """Once it has ended."""
    url = office.line.url(APPROVALS_SVC, f"/v1/workflows/jobs/{number}")
    shown: dict[str, Any] = {}

    async def has_ended() -> bool:
        answer = await office.line.http.get(url, headers=office.token("ana", "viewer"))
        shown.update(answer.json())
        return shown["status"] in ("done", "failed", "cancelled")

    await until(has_ended, timeout_s=40, what="the job did not end")
    return shown


async def texts(office: Office, channel: str = "#engineering") -> list[str]:
    """Nudges and notices, without cards of approvals."""
    messages = (await office.control.get("/slack/messages", params={"channel": channel})).json()
    keys = [(message["metadata"]["event_payload"]["key"], message["text"]) for message in messages]
    return [text for key, text in keys if key.startswith("nudge:")]


@only("slack")
async def test_nudge_that_a_rule_lets_through_is_posted_once(office: Office) -> None:
    """The rule of signals that is named says that it is a nudge."""
    key = {"Idempotency-Key": "once"}
    asked = {
        "rule_kind": "wip_limit_exceeded",
        "subject": "acme/web#7",
        "payload": {"person": "bo", "service": "notes"},
    }

    queued = await run(office, asked, **key)
    again = await run(office, asked, **key)

    assert (queued["status"], queued["action"], again["id"]) == ("queued", "nudge", queued["id"])
    done = await job(office, queued["id"])
    assert (done["status"], done["rule"], done["result"]) == ("done", "wip_limit_exceeded", "posted in #engineering")
    assert await texts(office) == ["<@U0BO>: acme/web#7"]


@only("slack")
async def test_rule_says_what_is_done_unless_the_request_does(office: Office) -> None:
    payload = {"repository": "acme/web", "number": 7, "text": "Stale"}

    ruled = await run(office, {"kind": "stale_pr", "subject": "a", "payload": payload})
    asked = await run(office, {"rule": "stale_pr", "action": "nudge", "subject": "b"})
    unknown = await run(office, {"rule": "of_tomorrow", "subject": "c"})

    shown = [await office.show(each["action_id"]) for each in (ruled, asked, unknown)]
    assert [(each["action"], each["signal"]) for each in shown] == [
        ("comment_summary", "stale_pr"),
        ("nudge", "stale_pr"),
        ("nudge", "of_tomorrow"),
    ]


@only("slack")
async def test_nudge_that_people_agree_to_is_posted_then(office: Office) -> None:
    asked = await run(office, {"subject": "web", "payload": {"text": "Look!\nBoth of you.", "service": "checkout"}})
    assert (asked["status"], asked["action"]) == ("awaiting_approval", "block")
    assert await texts(office) == []

    decided = (await office.vote(asked["action_id"], "bo")).json()

    assert (await job(office, decided["job_id"]))["status"] == "done"
    assert await texts(office) == ["Look!\nBoth of you."]


@only("slack")
async def test_slack_that_breaks_off_leaves_one_message(office: Office) -> None:
    rule = {"service": "slack", "kind": "drop_after", "method": "chat.postMessage", "channel": "#engineering", "nth": 1}
    (await office.control.post("/faults", json=[rule])).raise_for_status()

    queued = await run(office, {"subject": "one", "payload": NOTES})

    assert (await job(office, queued["id"]))["status"] == "done"
    assert await texts(office) == ["one"]
    assert (await office.control.get("/faults")).json()["never_bit"] == []


@only("slack")
async def test_notifier_that_is_away_is_waited_for(office: Office) -> None:
    """Nothing is done before somebody can read it, and nothing twice."""
    await office.line.servers[NOTIFIER.name].kill()
    queued = await run(office, {"subject": "late", "payload": NOTES})

    async def is_retried() -> bool:
        [row] = await office.line.fetch("SELECT attempts, state FROM approvals.effect WHERE id = $1", queued["id"])
        return bool(row["attempts"] == 1 and row["state"] == "pending")

    await until(is_retried, timeout_s=20, what="it is not waited for")
    await office.line.start(NOTIFIER)

    assert (await job(office, queued["id"]))["status"] == "done"
    assert await texts(office) == ["late"]


@only("slack")
async def test_channel_that_is_not_there_fails_the_job(office: Office) -> None:
    asked = await run(office, {"subject": "nowhere", "payload": {"channel": "#releases-of-nobody"}})
    decided = (await office.vote(asked["action_id"], "bo")).json()

    failed = await job(office, decided["job_id"])

    assert (failed["status"], "channel_not_found" in failed["result"]) == ("failed", True)


@only("dry run")
async def test_dry_run_is_no_nudge_and_no_notice(office: Office) -> None:
    queued = await run(office, {"subject": "dry", "payload": NOTES})
    asked = await run(office, {"subject": "waits"})

    failed = await job(office, queued["id"])
    told = await notify(office, asked["action_id"], {})

    assert (failed["status"], failed["result"]) == ("failed", "dry run: notifier has no SLACK_BOT_TOKEN")
    assert (told["ok"], told["posted"], told["reason"]) == (False, False, "dry run: notifier has no SLACK_BOT_TOKEN")
    assert await texts(office) == []


@only("slack")
async def test_notice_says_how_it_stands_where_it_was_asked_for(office: Office) -> None:
    number = (await run(office, {"subject": "web"}))["action_id"]

    told = await notify(office, number, {"channel": "#releases"}, **{"Idempotency-Key": "n1"})
    await notify(office, number, {"channel": "#releases"}, **{"Idempotency-Key": "n1"})
    await office.vote(number, "bo", "decline")
    ended = await notify(office, number, {})

    assert (told["ok"], told["posted"], told["channel"]) == (True, True, "#releases")
    [notice] = await texts(office, "#releases")
    assert notice.startswith(f"Waits for a decision: #{number} nudge web: 0 of 1 votes, until ")
    assert notice.endswith(f", asked by ana. Say /em approve {number}")
    assert ended["ok"]
    assert (await texts(office))[-1] == f"#{number} nudge web is rejected, asked by ana."


@only("slack")
async def test_nudge_at_nobody_or_to_two_places_is_refused(office: Office) -> None:
    url = office.line.url(APPROVALS_SVC, "/v1/workflows/run")
    for payload, field in (
        ({"person": "nobody"}, "payload.person"),
        ({"channel": "#a", "service": "checkout"}, "payload"),
        ({"channel": "<!channel>"}, "payload.channel"),
    ):
        body = {"subject": "s", "payload": payload}
        answer = await office.line.http.post(url, json=body, headers=office.token("ana"))
        assert answer.status_code == 422
        assert [each["field"] for each in answer.json()["fields"]] == [field]


@only("slack")
async def test_webhook_that_people_agree_to_is_sent_signed_and_the_same_in_every_try(
    office: Office, receiver: Receiver
) -> None:
    receiver.came.clear()
    receiver.answers[:] = [500]
    payload = {"target": "ci", "type": "cache.purge", "data": {"keys": ["a", 1]}}
    asked = await run(office, {"subject": "purge", "action": "webhook", "payload": payload})
    assert receiver.came == []

    decided = (await office.vote(asked["action_id"], "bo")).json()

    assert (await job(office, decided["job_id"]))["status"] == "done"
    first, second = receiver.came
    assert (first.told["type"], first.told["data"]) == ("cache.purge", {"keys": ["a", 1]})
    assert (first.id, first.body) == (second.id, second.body)
    assert second.is_signed_with(SECRETS[0])


@only("slack")
async def test_webhook_that_is_declined_or_goes_nowhere_known_is_not_sent(office: Office, receiver: Receiver) -> None:
    receiver.came.clear()
    asked = await run(office, {"subject": "x", "action": "webhook", "payload": {"target": "ci", "data": {}}})
    await office.vote(asked["action_id"], "bo", "decline")
    url = office.line.url(APPROVALS_SVC, "/v1/workflows/run")
    refused = {"subject": "x", "action": "webhook", "payload": {"target": "elsewhere", "data": {}}}
    answer = await office.line.http.post(url, json=refused, headers=office.token("ana"))

    assert answer.status_code == 422
    assert answer.json()["fields"] == [{"field": "payload.target", "problem": "WEBHOOK_TARGETS names no elsewhere"}]
    assert receiver.came == []


@only("slack")
async def test_what_waits_and_what_is_found_are_posted_for_everybody_where_they_were_asked_for(office: Office) -> None:
    asked = await run(office, {"subject": "web", "payload": {"text": "Look!", "service": "checkout"}})
    secret = await run(office, {"subject": "hidden", "payload": {"text": "Look!", "service": "vault"}})

    await office.publish(
        office.command("bo", "approvals post #releases"),
        office.command("bo", "ask post #releases look"),
        office.command("U0STRANGER", "approvals post #releases"),
        office.command("bo", "approvals post #nowhere"),
    )
    await until(lambda: _answers(office, 4), timeout_s=40, what="not everybody was answered")

    posted = await texts(office, "#releases")
    replies = await office.replies()
    assert sorted(replies) == sorted(
        [
            *["It is posted in #releases."] * 2,
            STRANGER,
            "It is not posted: destination: channel_not_found.",
        ]
    )
    assert any(f"#{asked['action_id']} " in text for text in posted)
    assert not any(f"#{secret['action_id']} " in text for text in posted)


async def _answers(office: Office, count: int) -> bool:
    return len(await office.replies()) >= count
