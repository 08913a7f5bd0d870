"""approvals-svc as a process beside its counterparts, seen from outside: events, people and requests in."""

import base64
import json
import time
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import asyncpg
import httpx
import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from approvals_svc import users
from approvals_svc.users import Account, Users
from em.sandbox.sender import slack_request
from em.sandbox.server import Sandbox
from shared.contracts.envelope import encode_event, event_headers, read_event
from shared.contracts.events import (
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
from shared.http.auth import AUDIENCE, ISSUER
from tests.gatehouse import waiting_run
from tests.line import SLACK_SECRET, Line
from tests.waiting import until

APP_ID = "4711"
INSTALLATION = "99"
TOKEN_KEY = "a-key-of-at-least-thirty-two-characters"
PASSWORD = "a password: of & machines"
CALLBACK_SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, so").decode()
CATALOG = """
version: 1
teams: [{name: payments, members: [ana, bo, cy, di]}]
people:
  - {name: ana, github: [ana-k], gitlab: [ana.k], slack: [U0ANA], email: [ana@acme.example]}
  - {name: bo, github: [bo-l], slack: [U0BO]}
  - {name: cy, github: [cy-m], slack: [U0CY]}
  - {name: di, github: [di-n], slack: [U0DI]}
  - {name: eve, slack: [U0EVE]}
bots: [argocd]
services:
  - {name: checkout, team: payments, repositories: [acme/checkout]}
  - {name: vault, team: payments, repositories: [acme/vault], visible_to: [payments]}
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
  - {name: previews, if: {environment: [preview]}, outcome: auto}
"""
SIGNALS = """\
signals:
  stale_pr: {action: comment_summary, cooldown: 12h}
  pr_without_review: {action: assign_reviewer, with: {reviewer: bo-l}}
  wip_limit_exceeded: {}
"""
ACTION_RULES = """\
  - {name: reckless, if: {action: deploy, environment: [canary], risk: [reckless]}, outcome: deny}
  - {name: canary, if: {action: deploy, environment: [canary]}, outcome: require, requires: {group: release, count: 1}}
  - {name: wild, if: {action: gamble, risk: [reckless]}, outcome: deny}
  - {name: accounts, if: {action: identity_link}, outcome: require, requires: {group: release, count: 1}}
  - name: labels-of-checkout
    if: {action: label, repository: acme/checkout}
    outcome: auto
  - name: no-issues-in-vault
    if: {action: issue_create, repository: acme/vault}
    outcome: deny
  - name: tidying
    if: {action: tidy}
    outcome: auto
  - name: nudges-of-notes
    if: {action: nudge, service: notes}
    outcome: auto
"""
TABLES = (
    "effect",
    "opa_question",
    "deadline",
    "breaking",
    "slack_link",
    "approval",
    "vote",
    "audit",
    "anchored",
    "anchor",
    "audit_check",
    "held",
    "answered",
    "trigger_seen",
    "cooldown",
    "delegation",
    "inbox",
    "outbox",
    "pushed_commit",
    "branch_commit",
    "document",
    "question",
    "searches",
)
RUN_IDS = count(1000)
PEOPLE = {"ana": "U0ANA", "bo": "U0BO", "cy": "U0CY", "di": "U0DI", "eve": "U0EVE"}


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
            pending = await self.line.pending(APPROVALS_EVENTS)
            return not pending and not await self.line.count("approvals.outbox")

        await until(is_settled, timeout_s=20, what="approvals-svc did not settle")

    # ---- gates -------------------------------------------------------------------------------------------------

    async def gate(self, **changed: Any) -> int:
        """A gate that waits at GitHub and here; returns the approval's number."""
        event = self.gate_event(**changed)
        (await self.control.post("/github/runs", json=waiting_run(event))).raise_for_status()
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
            "deployment_id": f"5{run_id}",
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

    def command(self, person: str, text: str) -> ChatCommand:
        """As a click, for what somebody types after `/em`."""
        fields = {
            "command": "/em",
            "team_id": "T1",
            "user_id": PEOPLE.get(person, person),
            "channel_id": "C1",
            "trigger_id": uuid4().hex,
            "user_name": person.lower(),
            "text": text,
        }
        click = self.click(0, person, body=urlencode(fields).encode())
        return ChatCommand(**{**click_fields(click), "command": "/em", "text": text})

    async def clicks(self, number: int, *people: str, verb: str = "approve") -> None:
        """One after the other: of several at once two replicas may take the second first."""
        for person in people:
            await self.publish(self.click(number, person, verb))
            await self.settled()

    def token(self, person: str, role: str = "approver") -> dict[str, str]:
        return bearer(person, role)

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
                for sequence in range(max(1, state.first_seq), state.last_seq + 1):
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
        await until(self._is_empty, timeout_s=10, what="the tables are never left alone")
        async with self.line.broker() as connection:
            for stream in ("EVENTS", "NOTIFY"):
                await connection.jetstream().purge_stream(self.line.subjects.stream(stream))

    async def _is_empty(self) -> bool:
        """The service's loops go on, and may hold what this waits for."""
        try:
            await self.line.fetch(f"TRUNCATE {', '.join(f'approvals.{table}' for table in TABLES)} RESTART IDENTITY")
        except asyncpg.DeadlockDetectedError:
            return False
        return True


def bearer(person: str, role: str) -> dict[str, str]:
    """Of a token that lasts ten minutes, under TOKEN_KEY."""
    now = int(time.time())
    claims = {"iat": now, "nbf": now, "exp": now + 600, "iss": ISSUER, "aud": AUDIENCE, "jti": str(uuid4())}
    signed = jwt.encode({**claims, "sub": person, "typ": "access", "role": role}, TOKEN_KEY, algorithm="HS256")
    return {"Authorization": f"Bearer {signed}"}


def click_fields(click: ChatAction) -> dict[str, Any]:
    """What a click and a command have in common."""
    shared = ("occurred_at", "received_at", "id", "source", "team", "user", "channel", "signed")
    return {name: getattr(click, name) for name in shared}


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


def environment(directory: Path, counterparts: Sandbox, app_key: rsa.RSAPrivateKey) -> dict[str, str]:
    (directory / "catalog.yaml").write_text(CATALOG)
    users.save(directory / "users", Users([Account(name="jenkins", role="operator", hash=users.hashed(PASSWORD))]))
    (directory / "ci.pem").write_text(counterparts.ci_certificate)
    (directory / "policy.yaml").write_text(POLICY.replace("rules:\n", f"{SIGNALS}rules:\n{ACTION_RULES}"))
    (directory / "app.pem").write_bytes(
        app_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return {
        "CATALOG_PATH": str(directory / "catalog.yaml"),
        "POLICY_PATH": str(directory / "policy.yaml"),
        "GITHUB_API_URL": counterparts.github_url,
        "GITHUB_REPORTS": "false",
        "GITHUB_SWEEP_S": "0",
        "GITHUB_APP_ID": APP_ID,
        "GITHUB_APP_PRIVATE_KEY_FILE": str(directory / "app.pem"),
        "AUTH_ENABLED": "true",
        "JWT_ALGORITHM": "HS256",
        "JWT_SECRET_KEY": TOKEN_KEY,
        "USERS_PATH": str(directory / "users"),
        "REPORT_OIDC_TRUST": f"{counterparts.ci_url}|acme/*",
        "OIDC_PRIVATE_HOSTS": "127.0.0.1",
        "OIDC_CA_FILE": str(directory / "ci.pem"),
        "WEBHOOK_TARGETS": f"ci={counterparts.ci_url}/callbacks",
        "WEBHOOK_TARGET_SECRETS": f"ci={CALLBACK_SECRET}",
        "WEBHOOK_PRIVATE_HOSTS": "127.0.0.1",
        "WEBHOOK_CA_FILE": str(directory / "ci.pem"),
    }
