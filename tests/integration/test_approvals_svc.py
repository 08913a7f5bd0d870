"""approvals-svc as a process on a real broker, a real database and the GitHub counterpart: gate, click, callback."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import asyncpg
import httpx
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from approvals_svc import audit as chain
from em.sandbox.gates import GithubSettings
from em.sandbox.sender import slack_request
from em.sandbox.server import Sandbox, sandbox
from shared.contracts.envelope import encode_event, event_headers, read_event
from shared.contracts.events import (
    ApprovalDecided,
    ApprovalExecuted,
    ApprovalExpired,
    ApprovalRequested,
    ApprovalVoted,
    ChatAction,
    ChatCommand,
    DeploymentRequested,
    Event,
    Gate,
    Reply,
    SignedRequest,
)
from shared.contracts.services import APPROVALS_SVC
from shared.contracts.streams import APPROVALS_EVENTS
from shared.db.migrate import bootstrap, migrate
from shared.http.auth import AUDIENCE, ISSUER
from tests.line import SLACK_SECRET, Line, open_line
from tests.provisioning import provisioned
from tests.waiting import until

APP_ID = "4711"
INSTALLATION = "99"
TOKEN_KEY = "a-key-of-at-least-thirty-two-characters"
CATALOG = """
version: 1
teams: [{name: payments, members: [ana, bo, cy, di]}]
people:
  - {name: ana, github: [ana-k], slack: [U0ANA]}
  - {name: bo, github: [bo-l], slack: [U0BO]}
  - {name: cy, github: [cy-m], slack: [U0CY]}
  - {name: di, github: [di-n], slack: [U0DI]}
services: [{name: checkout, team: payments, repositories: [acme/checkout]}]
"""
POLICY = """
version: 5
groups: {release: {people: [ana, bo, cy]}}
rules:
  - name: production-deploys
    if: {action: deploy, environment: [production]}
    outcome: require
    requires: {group: release, count: 2}
    separation: [requester]
    expires: {after: 4h}
  - name: staging-deploys
    if: {environment: [staging]}
    outcome: require
    requires: {group: release, count: 1}
"""
TABLES = ("approval", "vote", "effect", "audit", "held", "answered", "trigger_seen", "inbox", "outbox")
RUN_IDS = count(1000)
PEOPLE = {"ana": "U0ANA", "bo": "U0BO", "cy": "U0CY", "di": "U0DI"}


class Office:
    """approvals-svc with its counterparts, seen from outside: events in, rows, events and callbacks out."""

    def __init__(self, line: Line, github_url: str, control: httpx.AsyncClient) -> None:
        self.line = line
        self.github = github_url
        self.control = control
        self._callbacks_before = 0

    async def publish(self, *events: Event) -> None:
        async with self.line.broker() as connection:
            for event in events:
                subject = self.line.subjects.event(event.kind)
                await connection.jetstream().publish(subject, encode_event(event), headers=event_headers(event))

    async def settled(self) -> None:
        """What was published is handled, and what that said is published."""

        async def is_settled() -> bool:
            pending = await self.line.pending(APPROVALS_EVENTS.name, APPROVALS_EVENTS.stream)
            return not pending and not await self.line.count("approvals.outbox")

        await until(is_settled, timeout_s=20, what="approvals-svc did not settle")

    # ---- gates -------------------------------------------------------------------------------------------------

    async def gate(self, **changed: Any) -> int:
        """A gate that waits at GitHub and here; returns the approval's number."""
        event = self.gate_event(**changed)
        assert event.gate
        await self.control.post(
            "/github/runs",
            json={
                "repository": event.repository,
                "run_id": int(event.gate.run_id),
                "environments": [event.environment],
            },
        )
        await self.publish(event)
        await self.settled()
        [row] = await self.line.fetch("SELECT max(id) AS number FROM approvals.approval")
        return int(row["number"])

    def gate_event(self, **changed: Any) -> DeploymentRequested:
        """Of a run of its own: JetStream remembers the ids of events for longer than a test."""
        run_id = next(RUN_IDS)
        callback = f"{self.github}/repos/acme/checkout/actions/runs/{run_id}/deployment_protection_rule"
        fields: dict[str, Any] = {
            "occurred_at": datetime.now(UTC),
            "repository": "acme/checkout",
            "deployment_id": f"d{run_id}",
            "environment": "production",
            "sha": "c0ffee" * 6,
            "creator": "ana-k",
            "actor": "ana-k",
            "gate": Gate(run_id=str(run_id), callback_url=callback, installation_id=INSTALLATION),
            "id": str(uuid4()),
            "source": "github",
            "received_at": datetime.now(UTC),
            **changed,
        }
        return DeploymentRequested(**fields)

    async def break_github(self, **rule: Any) -> None:
        (await self.control.post("/faults", json=[{"service": "github", **rule}])).raise_for_status()

    async def callbacks(self) -> list[dict[str, Any]]:
        """Decisions that GitHub took, repeated ones included, once no effect waits any more."""

        async def is_done() -> bool:
            return not await self.line.fetch("SELECT 1 FROM approvals.effect WHERE state IN ('pending', 'leased')")

        await until(is_done, timeout_s=15, what="an effect waits still")
        await self.settled()
        return list((await self.control.get("/github/decisions")).json())[self._callbacks_before :]

    async def callback(self) -> dict[str, Any]:
        [only] = await self.callbacks()
        return only

    # ---- people ------------------------------------------------------------------------------------------------

    def click(self, number: int, person: str, verb: str = "approve", **changed: Any) -> ChatAction:
        """As ingest and normalizer hand on a click that Slack signed."""
        received_at = changed.pop("received_at", datetime.now(UTC))
        body = changed.pop("body", None) or click_body(number, PEOPLE.get(person, person), verb, **changed)
        signed = slack_request(SLACK_SECRET, body, received_at.timestamp())
        return ChatAction(
            occurred_at=received_at,
            received_at=received_at,
            id=str(uuid4()),
            source="slack",
            team="T1",
            user=PEOPLE.get(person, person),
            channel="C1",
            callback=verb,
            value=f"{verb}:{number}:1",
            signed=SignedRequest(
                body=body, timestamp=signed["X-Slack-Request-Timestamp"], signature=signed["X-Slack-Signature"]
            ),
        )

    async def clicks(self, number: int, *people: str, verb: str = "approve") -> None:
        await self.publish(*(self.click(number, person, verb) for person in people))
        await self.settled()

    def token(self, person: str, role: str = "approver") -> dict[str, str]:
        now = int(time.time())
        claims = {"iat": now, "nbf": now, "exp": now + 600, "iss": ISSUER, "aud": AUDIENCE, "jti": str(uuid4())}
        signed = jwt.encode({**claims, "sub": person, "typ": "access", "role": role}, TOKEN_KEY, algorithm="HS256")
        return {"Authorization": f"Bearer {signed}"}

    async def vote(self, number: int, person: str, decision: str = "approve", **headers: str) -> httpx.Response:
        url = self.line.url(APPROVALS_SVC, f"/v1/approvals/{number}/decision")
        return await self.line.http.post(url, json={"decision": decision}, headers={**self.token(person), **headers})

    # ---- what came out -----------------------------------------------------------------------------------------

    async def show(self, number: int) -> dict[str, Any]:
        url = self.line.url(APPROVALS_SVC, f"/v1/approvals/{number}")
        answer = await self.line.http.get(url, headers=self.token("ana", "viewer"))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def said(self) -> list[Event]:
        """Events and replies of approvals-svc, in the order they were published."""
        found = []
        async with self.line.broker() as connection:
            js = connection.jetstream()
            for stream in ("EVENTS", "NOTIFY"):
                name = self.line.subjects.stream(stream)
                state = (await js.stream_info(name)).state
                for sequence in range(state.first_seq, state.last_seq + 1):
                    message = await js.get_msg(name, sequence)
                    event = read_event(message.headers or {}, message.data or b"")
                    if event and event.source == APPROVALS_SVC.name:
                        found.append(event)
        return found

    async def metric(self, name: str) -> float:
        lines = (await self.line.http.get(self.line.url(APPROVALS_SVC, "/metrics"))).text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    async def replies(self) -> list[str]:
        return [event.text for event in await self.said() if isinstance(event, Reply)]

    async def held(self) -> list[str]:
        return [row["reason"] for row in await self.line.fetch("SELECT reason FROM approvals.held ORDER BY id")]

    async def forget(self) -> None:
        """Everything that a test before this one left."""
        await self.control.delete("/faults")
        await self.settled()
        self._callbacks_before = len((await self.control.get("/github/decisions")).json())
        await self.line.fetch(f"TRUNCATE {', '.join(f'approvals.{table}' for table in TABLES)} RESTART IDENTITY")
        async with self.line.broker() as connection:
            for stream in ("EVENTS", "NOTIFY"):
                await connection.jetstream().purge_stream(self.line.subjects.stream(stream))


def click_body(number: int, person: str, verb: str = "approve", **changed: Any) -> bytes:
    payload = {
        "type": "block_actions",
        "user": {"id": person, "team_id": "T1"},
        "team": {"id": "T1"},
        "channel": {"id": "C1"},
        "container": {"message_ts": "1.1", "channel_id": "C1"},
        "trigger_id": f"{uuid4().hex}",
        "actions": [{"action_id": verb, "value": f"{verb}:{number}:1", "block_id": "b", "action_ts": "1.1"}],
        **changed,
    }
    return urlencode({"payload": json.dumps(payload)}).encode()


@pytest.fixture(scope="module")
def app_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
async def counterparts(app_key: rsa.RSAPrivateKey) -> AsyncIterator[Sandbox]:
    public = app_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    async with sandbox(github_settings=GithubSettings(app_id=APP_ID, public_key=public.decode())) as running:
        yield running


@pytest.fixture(scope="module")
async def own_database(postgres_url: str) -> AsyncIterator[str]:
    name = f"approvals_{uuid4().hex[:8]}"
    admin = await asyncpg.connect(postgres_url)
    await admin.execute(f"CREATE DATABASE {name}")
    url = postgres_url.rsplit("/", 1)[0] + f"/{name}"
    await bootstrap(url, progress=lambda _: None)
    await migrate(url, progress=lambda _: None)
    yield url
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture(scope="module")
async def replicas(
    nats_url: str,
    own_database: str,
    counterparts: Sandbox,
    app_key: rsa.RSAPrivateKey,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[list[Office]]:
    """Two processes on one schema and one durable."""
    prefix = f"t{uuid4().hex[:10]}"
    await provisioned(nats_url, prefix)
    async with AsyncExitStack() as stack:
        control = await stack.enter_async_context(httpx.AsyncClient(base_url=counterparts.control_url))
        lines = [
            await stack.enter_async_context(
                open_line(
                    nats_url=nats_url,
                    database_url=own_database,
                    prefix=prefix,
                    directory=(directory := tmp_path_factory.mktemp("approvals")),
                    environment=environment(directory, counterparts, app_key),
                )
            )
            for _ in range(2)
        ]
        for line in lines:
            await line.start(APPROVALS_SVC)
        yield [Office(line, counterparts.github_url, control) for line in lines]


def environment(directory: Path, counterparts: Sandbox, app_key: rsa.RSAPrivateKey) -> dict[str, str]:
    (directory / "catalog.yaml").write_text(CATALOG)
    (directory / "policy.yaml").write_text(POLICY)
    (directory / "app.pem").write_bytes(
        app_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return {
        "CATALOG_PATH": str(directory / "catalog.yaml"),
        "POLICY_PATH": str(directory / "policy.yaml"),
        "GITHUB_API_URL": counterparts.github_url,
        "GITHUB_APP_ID": APP_ID,
        "GITHUB_APP_PRIVATE_KEY_FILE": str(directory / "app.pem"),
        "AUTH_ENABLED": "true",
        "JWT_ALGORITHM": "HS256",
        "JWT_SECRET_KEY": TOKEN_KEY,
    }


@pytest.fixture
async def office(replicas: list[Office]) -> Office:
    await replicas[0].forget()
    return replicas[0]


def kinds(events: Sequence[Event]) -> list[type[Event]]:
    return [type(event) for event in events]


async def test_gate_opens_after_two_clicks_and_everybody_is_told(office: Office) -> None:
    number = await office.gate()

    await office.clicks(number, "bo", "cy")
    callback = await office.callback()

    assert (callback["state"], callback["environment"]) == ("approved", "production")
    assert "approved by bo, cy" in callback["comment"] or "approved by cy, bo" in callback["comment"]
    assert (await office.show(number))["status"] == "executed"
    said = await office.said()
    assert kinds(said) == [ApprovalRequested, ApprovalVoted, ApprovalVoted, ApprovalDecided, ApprovalExecuted]
    snapshots = [event for event in said if isinstance(event, ApprovalRequested | ApprovalDecided | ApprovalExecuted)]
    assert [(each.version, each.status) for each in snapshots] == [(1, "pending"), (4, "approved"), (5, "executed")]
    assert snapshots[0].approvers == ("U0BO", "U0CY")
    assert (snapshots[0].required, snapshots[0].group, snapshots[0].service) == (2, "release", "checkout")


async def test_one_decline_keeps_the_gate_shut(office: Office) -> None:
    number = await office.gate()

    await office.clicks(number, "bo")
    await office.clicks(number, "cy", verb="decline")
    callback = await office.callback()

    assert callback["state"] == "rejected"
    shown = await office.show(number)
    assert (shown["status"], shown["decision"]) == ("rejected", "rejected")


async def test_who_may_not_decide_is_told_why_and_audited(office: Office) -> None:
    number = await office.gate()

    for person in ("ana", "di", "U0STRANGER"):
        await office.clicks(number, person)
    foreign = click_body(number, "U0BO", user={"id": "U0BO", "team_id": "T2"})
    await office.publish(office.click(number, "bo", body=foreign))
    await office.settled()

    shown = await office.show(number)
    assert (shown["status"], shown["missing"], shown["votes"]) == ("pending", 2, [])
    assert [entry["verb"] for entry in shown["audit"]] == ["requested", *["refused"] * 4]
    replies = await office.replies()
    assert "ana asked for it as ana-k, and who asks doesn't decide" in replies[0]
    assert "di is not in the group release" in replies[1]
    assert all("belongs to nobody in the catalog" in reply for reply in replies[2:])


async def test_same_person_twice_is_one_vote(office: Office) -> None:
    number = await office.gate()

    await office.clicks(number, "bo", "bo", "bo")

    shown = await office.show(number)
    assert (shown["status"], shown["missing"]) == ("pending", 1)


async def test_forged_click_moves_nothing(office: Office) -> None:
    number = await office.gate(environment="staging")
    now = datetime.now(UTC)
    other = await office.gate(environment="staging")
    good = office.click(other, "U0STRANGER")
    forgeries = [
        # It is what its bytes say: a click of a stranger on the other approval, whoever the event names.
        msgspec.structs.replace(good, user="U0BO", value=f"approve:{number}:1", id=str(uuid4())),
        msgspec.structs.replace(
            office.click(number, "bo"), id=str(uuid4()), signed=SignedRequest(body=b"", timestamp="", signature="")
        ),
        _resigned(office.click(number, "bo"), body=click_body(number, "U0BO")),
        office.click(number, "bo", received_at=now - timedelta(seconds=61)),
        msgspec.structs.replace(office.click(number, "bo", received_at=now - timedelta(seconds=301)), received_at=now),
        msgspec.structs.replace(office.click(number, "bo"), received_at=None),
        msgspec.structs.replace(office.click(number, "bo"), origin="replay"),
        office.click(number, "bo", body=click_body(number, "U0BO").replace(b"%22channel%22", b"%22canal%22")),
        ChatCommand(**{**_fields(office.click(number, "bo")), "command": "/em", "text": f"approve {number}"}),
    ]

    await office.publish(*forgeries)
    await office.settled()

    for untouched in (number, other):
        shown = await office.show(untouched)
        assert (shown["status"], shown["votes"], shown["effects"]) == ("pending", [], [])
    assert await office.callbacks() == []
    assert sorted(await office.held()) == [
        "a button of ours without a number, a user or a channel",
        "it doesn't say when it arrived",
        "it is older than 60 s",
        "origin replay does not act",
        "signature refused: signature",
        "signature refused: stale",
        "signature refused: timestamp",
        "the field command comes 0 times",
    ]


async def test_click_that_was_here_before_is_refused(office: Office) -> None:
    number = await office.gate()
    click = office.click(number, "bo")
    await office.publish(click)
    await office.settled()

    await office.publish(msgspec.structs.replace(click, id=str(uuid4())))
    await office.publish(office.click(number, "cy", trigger_id=_trigger(click)))
    await office.settled()

    assert (await office.show(number))["missing"] == 1
    assert await office.held() == ["its trigger id was here before"] * 2


async def test_command_votes_and_lists(office: Office) -> None:
    number = await office.gate()

    for person, text in (
        ("cy", "approvals"),
        ("cy", f"approve {number} fine by me"),
        ("bo", f"decline #{number} not on a Friday"),
        ("cy", "approve 4242"),
        ("cy", "decline"),
    ):
        await office.publish(_command(office, person, text))
        await office.settled()

    listed, counted, ended, unknown, misspelt = await office.replies()
    assert listed.startswith(f"#{number} checkout to production: 0 of 2 votes, until ")
    assert counted == f"Your vote counts: #{number} needs 1 more."
    assert ended == f"Your vote counts: #{number} is rejected."
    assert unknown == "Nothing happened: there is no approval #4242."
    assert misspelt == "Which one? Say: decline <number> [reason]"
    assert "not on a Friday" in (await office.callback())["comment"]


async def test_twenty_votes_at_once_on_two_replicas_decide_once(
    office: Office, replicas: list[Office], scale: int
) -> None:
    for _ in range(3 * scale):
        before = len(await office.callbacks())
        number = await office.gate()
        asked = [
            replica.vote(number, person, decision)
            for replica in replicas
            for person in ("bo", "cy")
            for decision in ("approve", "reject")
        ]
        clicked = [
            office.click(number, person, verb)
            for person in ("bo", "cy")
            for verb in ("approve", "decline", "approve")
            for _ in range(2)
        ]

        answers, _ = await asyncio.gather(asyncio.gather(*asked), office.publish(*clicked))
        callbacks = (await office.callbacks())[before:]

        assert {answer.status_code for answer in answers} <= {200, 409}
        shown = await office.show(number)
        assert [entry["verb"] for entry in shown["audit"]].count("decided") == 1
        assert [effect["state"] for effect in shown["effects"]] == ["done"]
        assert [callback["state"] for callback in callbacks] == [shown["decision"]]


async def test_drop_after_the_callback_leads_to_one_decision(office: Office) -> None:
    await office.break_github(kind="drop_after", method="POST */deployment_protection_rule", nth=1)
    number = await office.gate(environment="staging")

    await office.clicks(number, "bo")

    assert (await office.callback())["effective"]
    [effect] = (await office.show(number))["effects"]
    assert (effect["state"], effect["attempts"], effect["result"]) == ("done", 2, "found among the reviews of the run")


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "drop_before", "method": "POST */deployment_protection_rule"},
        {"kind": "server_error", "method": "POST */deployment_protection_rule"},
        {"kind": "rate_limited", "method": "POST */deployment_protection_rule"},
        {"kind": "server_error", "method": "POST */access_tokens"},
    ],
    ids=lambda rule: f"{rule['kind']} {rule['method']}",
)
async def test_callback_that_did_not_arrive_is_repeated(office: Office, rule: dict[str, Any]) -> None:
    await office.break_github(nth=1, **rule)
    number = await office.gate(environment="staging")

    await office.clicks(number, "bo")

    assert (await office.callback())["state"] == "approved"
    assert (await office.show(number))["status"] == "executed"


async def test_run_that_github_does_not_know_ends_dead_and_is_told(office: Office) -> None:
    await office.publish(office.gate_event(environment="staging"))
    await office.settled()

    await office.clicks(1, "bo")

    assert await office.callbacks() == []

    shown = await office.show(1)
    assert (shown["status"], shown["decision"]) == ("dead", "approved")
    last = (await office.said())[-1]
    assert isinstance(last, ApprovalExecuted)
    assert (last.status, last.failure) == ("dead", "answer 404")


async def test_undecided_gate_expires_and_is_rejected(office: Office) -> None:
    number = await office.gate(occurred_at=datetime.now(UTC) - timedelta(hours=4) + timedelta(seconds=2))
    await office.clicks(number, "bo")

    async def is_over() -> bool:
        return bool((await office.show(number))["status"] != "pending")

    await until(is_over, timeout_s=10, what="it did not expire")
    callback = await office.callback()

    assert callback["state"] == "rejected"
    assert "nobody decided in time" in callback["comment"]
    assert (await office.show(number))["status"] == "expired"
    assert ApprovalExpired in kinds(await office.said())
    late = await office.vote(number, "cy")
    assert (late.status_code, late.json()["approval_status"]) == (409, "expired")


HELD_GATES = [
    "origin replay does not act",
    "origin backfill does not act",
    "origin demo does not act",
    "its deadline passed before it reached us",
    "the callback has another scheme than the configured API's",
    "the callback has another path than the configured API's",
    "without an installation of the App there is no way to answer",
    "gates of gitlab are not answered",
    "the repository's name is not owner/name",
    "the environment's name can't be one of GitHub's",
    "nobody is named as requester, so nobody can be excluded",
]


async def test_gate_that_must_not_or_cannot_be_answered_asks_nobody(office: Office) -> None:
    gate = office.gate_event().gate
    assert gate
    old = datetime.now(UTC) - timedelta(hours=5)
    elsewhere = msgspec.structs.replace(gate, callback_url="https://evil.example" + gate.callback_url[21:])
    other_run = msgspec.structs.replace(gate, run_id="2")
    await office.publish(
        office.gate_event(origin="replay"),
        office.gate_event(origin="backfill"),
        office.gate_event(origin="demo"),
        office.gate_event(occurred_at=old),
        office.gate_event(gate=elsewhere),
        office.gate_event(gate=other_run),
        office.gate_event(gate=msgspec.structs.replace(gate, installation_id="../1")),
        office.gate_event(source="gitlab"),
        office.gate_event(repository="acme/../evil"),
        office.gate_event(environment="prod\x00uction"),
        office.gate_event(creator="", actor=""),
        office.gate_event(gate=None),
    )
    await office.settled()

    assert sorted(await office.held()) == sorted(HELD_GATES)
    assert await office.line.count("approvals.approval") == 0


async def test_same_gate_twice_is_one_approval(office: Office) -> None:
    first = office.gate_event()
    again = msgspec.structs.replace(first, id=str(uuid4()))
    rerun = msgspec.structs.replace(first, id=str(uuid4()), deployment_id="rerun")

    await office.publish(first, again, rerun, again)
    await office.settled()

    assert await office.line.count("approvals.approval") == 2


async def test_api_votes_once_per_key_and_says_how_it_ended(office: Office) -> None:
    number = await office.gate()

    first = await office.vote(number, "bo", **{"Idempotency-Key": "k1"})
    again = await office.vote(number, "bo", **{"Idempotency-Key": "k1"})
    other = await office.vote(number, "bo", "reject", **{"Idempotency-Key": "k1"})
    requester = await office.vote(number, "ana")
    nobody = await office.vote(number, "zoe")
    viewer = await office.line.http.post(
        office.line.url(APPROVALS_SVC, f"/v1/approvals/{number}/decision"),
        json={"decision": "approve"},
        headers=office.token("cy", "viewer"),
    )
    second = await office.vote(number, "cy")
    late = await office.vote(number, "cy")
    replayed = await office.vote(number, "bo", **{"Idempotency-Key": "k1"})

    assert (first.json()["replayed"], again.json()["replayed"], first.json()["missing"]) == (False, True, 1)
    assert (other.status_code, requester.status_code, nobody.status_code, viewer.status_code) == (422, 403, 403, 403)
    assert second.json()["status"] == "approved"
    assert (late.status_code, late.json()["decision"], late.json()["decided_by"]) == (409, "approved", ["bo", "cy"])
    assert replayed.json() == {**first.json(), "replayed": True}
    assert (await office.vote(4242, "bo")).status_code == 404


async def test_without_configuration_nobody_votes_and_decisions_wait(
    nats_url: str, database_url: str, prefix: str, tmp_path: Path
) -> None:
    (tmp_path / "catalog.yaml").write_text(CATALOG)
    environment = {"CATALOG_PATH": str(tmp_path / "catalog.yaml")}
    async with (
        open_line(
            nats_url=nats_url, database_url=database_url, prefix=prefix, directory=tmp_path, environment=environment
        ) as line,
        httpx.AsyncClient() as unused,
    ):
        await line.start(APPROVALS_SVC)
        office = Office(line, "https://api.github.com", unused)
        await office.publish(office.gate_event(), office.gate_event())
        await office.settled()

        anonymous = await office.vote(1, "di")
        await office.clicks(1, "ana")
        await office.clicks(1, "di")
        health = (await line.http.get(line.url(APPROVALS_SVC, "/health"))).json()

        assert (anonymous.status_code, anonymous.json()["type"]) == (403, "/problems/anonymous")
        shown = await office.show(1)
        assert (shown["requirement"]["rule"], shown["status"]) == ("default", "approved")
        assert [(effect["state"], effect["attempts"]) for effect in shown["effects"]] == [("pending", 0)]
        assert health["integrations"]["github"].startswith("not configured: set GITHUB_APP_ID")


async def test_audit_chain_is_whole_and_can_not_be_rewritten(office: Office) -> None:
    number = await office.gate()
    await office.clicks(number, "ana", "bo", "cy")
    await office.callback()

    rows = await office.line.fetch("SELECT * FROM approvals.audit WHERE approval_id = $1 ORDER BY seq", number)
    [kept] = await office.line.fetch("SELECT public_id, audit_seq, audit_head FROM approvals.approval")
    entries = [_entry(row) for row in rows]

    def first_bad(tampered: list[chain.Entry]) -> int | None:
        return chain.first_bad(
            tampered, public_id=str(kept["public_id"]), seq=kept["audit_seq"], head=kept["audit_head"]
        )

    assert first_bad(entries) is None
    assert first_bad(entries[:-1]) == len(entries)
    assert first_bad([entries[0], entries[2], entries[1], *entries[3:]]) == 2
    assert first_bad([*entries[:2], msgspec.structs.replace(entries[2], verb="approve!"), *entries[3:]]) == 3
    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        await office.line.fetch("UPDATE approvals.audit SET verb = 'x'")
    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        await office.line.fetch("DELETE FROM approvals.audit")


async def test_decision_is_counted_by_one_replica(office: Office, replicas: list[Office]) -> None:
    async def counted() -> float:
        return sum([await replica.metric('approvals_decisions_total{status="approved"}') for replica in replicas])

    before = await counted()
    number = await office.gate(environment="staging")
    await office.clicks(number, "bo", "cy")

    async def is_counted() -> bool:
        return await counted() > before

    await until(is_counted, timeout_s=5, what="the decision was not counted")
    await asyncio.sleep(1.2)  # the other replica looks once a second
    assert await counted() == before + 1


def _resigned(click: ChatAction, *, body: bytes) -> ChatAction:
    """A good signature of one body put under another."""
    signed = msgspec.structs.replace(click.signed, body=body)
    return msgspec.structs.replace(click, signed=signed)


def _fields(click: ChatAction) -> dict[str, Any]:
    shared = ("occurred_at", "received_at", "id", "source", "team", "user", "channel", "signed")
    return {name: getattr(click, name) for name in shared}


def _trigger(click: ChatAction) -> str:
    payload: dict[str, Any] = json.loads(httpx.QueryParams(click.signed.body.decode())["payload"])
    return str(payload["trigger_id"])


def _command(office: Office, person: str, text: str) -> ChatCommand:
    fields = {
        "command": "/em",
        "team_id": "T1",
        "user_id": PEOPLE[person],
        "channel_id": "C1",
        "trigger_id": uuid4().hex,
        "text": text,
    }
    click = office.click(0, person, body=urlencode(fields).encode())
    return ChatCommand(**{**_fields(click), "command": "/em", "text": text})


def _entry(row: asyncpg.Record) -> chain.Entry:
    fields = {**row, "actor": msgspec.json.decode(row["actor"], type=chain.Actor)}
    return chain.Entry(**{**fields, "detail": msgspec.json.decode(row["detail"])})
