"""approvals-svc without its broker: gates come in as its handlers get them, platforms are answered over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from approvals_svc import store
from approvals_svc.audit import Actor
from approvals_svc.calls import open_client
from approvals_svc.check_handlers import CheckHandlers
from approvals_svc.desk import Ballot, Desk, Outcome
from approvals_svc.effects import Effects, Performer
from approvals_svc.elsewhere import Elsewhere
from approvals_svc.gate_rules import GateRules
from approvals_svc.github import Github
from approvals_svc.github_app import App, GithubApp
from approvals_svc.github_teams import GithubTeams
from approvals_svc.gitlab import Account, Gitlab
from approvals_svc.gitlab_checks import GitlabChecks
from approvals_svc.handlers import Handlers
from approvals_svc.known_teams import KnownTeams
from approvals_svc.model import Approval
from approvals_svc.passed import Passing
from approvals_svc.policies import Policies
from approvals_svc.replay import as_stored, told
from approvals_svc.reports import Reports
from approvals_svc.settings import Settings
from approvals_svc.sweep import Sweep
from em.sandbox.blocked import GitlabSettings
from em.sandbox.gates import GithubSettings
from em.sandbox.server import Sandbox, sandbox
from shared.contracts.events import ChangeCheckRequested, DeploymentRequested, DeploymentReviewed, Gate
from shared.contracts.services import APPROVALS_SVC
from shared.contracts.subjects import Subjects
from shared.db import Pool
from shared.db.catalogs import Catalogs
from shared.db.pool import open_pool
from tests.waiting import until

APP_ID = "4711"
INSTALLATION = "99"
GITLAB_TOKEN = "glpat-right"
SHA = "c0ffee" * 6 + "beef"
CATALOG = """
version: 1
people:
  - {name: ana, github: [ana-k], gitlab: [ana]}
  - {name: bo, github: [bo-l], gitlab: [bo]}
  - {name: cy, github: [cy-m], gitlab: [cy]}
  - {name: di, github: [di-n], gitlab: [di]}
"""
POLICY = """
version: 1
groups: {release: {people: [ana, bo, cy, di]}, shippers: {github_team: acme/Shippers}}
rules:
  - {name: merge, if: {action: merge}, outcome: require, requires: {group: release, count: 2}}
  - {name: auto, if: {environment: auto}, outcome: auto}
  - {name: one, if: {environment: staging}, outcome: require, requires: {group: release}}
  - name: ladder
    if: {environment: ladder}
    outcome: require
    requires: {group: release, count: 2}
    expires: {after: 100m}
    ladder: {remind: 50%, escalate: {at: 80%, to: release}}
  - {name: three, if: {environment: many}, outcome: require, requires: {group: release, count: 3}}
  - {name: team, if: {environment: team}, outcome: require, requires: {group: shippers}}
  - {name: two, outcome: require, requires: {group: release, count: 2}}
"""
NUMBERS = count(1000)
APP_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
APP_PRIVATE_KEY = APP_KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


def app_settings() -> GithubSettings:
    public = APP_KEY.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return GithubSettings(app_id=APP_ID, public_key=public.decode())


class Gatehouse:
    """One replica of it. What it answers runs between `opened` and its end."""

    def __init__(
        self,
        pool: Pool,
        desk: Desk,
        handlers: Handlers,
        checks: CheckHandlers,
        elsewhere: Elsewhere,
        performers: Mapping[str, Performer],
        counterparts: Sandbox,
        control: httpx.AsyncClient,
        app: GithubApp,
        catalogs: Catalogs,
        policies: Policies,
    ) -> None:
        self.pool = pool
        self.desk = desk
        self.handlers = handlers
        self.checks = checks
        self.elsewhere = elsewhere
        self.counterparts = counterparts
        self.control = control
        self.effects = Effects(pool=pool, desk=desk, performers=performers)
        self.reports = Reports(pool=pool, desk=desk, app=app)
        self.app = app
        self.catalogs = catalogs
        self.policies = policies

    # ---- gates -------------------------------------------------------------------------------------------------

    def github_event(self, **changed: Any) -> DeploymentRequested:
        """Of a run of its own."""
        run_id = str(changed.pop("run_id", next(NUMBERS)))
        fields = {
            "repository": "acme/checkout",
            "deployment_id": f"5{run_id}",
            "creator": "ana-k",
            "gate": Gate(run_id=run_id, callback_url="", installation_id=INSTALLATION),
            "source": "github",
        }
        return _event(fields | changed)

    def gitlab_event(self, **changed: Any) -> DeploymentRequested:
        number = str(changed.pop("number", next(NUMBERS)))
        fields = {
            "repository": "acme/shop/checkout",
            "deployment_id": number,
            "creator": "ana",
            "gate": Gate(run_id=number, callback_url=""),
            "source": "gitlab",
        }
        return _event(fields | changed)

    async def ask(self, event: DeploymentRequested) -> int:
        """The platform waits for it, and its webhook reached us; the approval's number."""
        assert event.gate
        if event.source == "gitlab":
            waiting = {"project": event.repository, "deployment_id": int(event.deployment_id), "sha": event.sha}
            waiting["username"] = event.creator
            await self.tell("/gitlab/deployments", waiting | {"environment": event.environment})
        else:
            await self.tell("/github/runs", waiting_run(event))
        await self.receive(event)
        number = await self.pool.fetchval("SELECT max(id) FROM approval")
        assert number
        return int(number)

    async def receive(self, *events: DeploymentRequested) -> None:
        async with self.pool.acquire() as tx, tx.transaction():
            await self.handlers.on_gate_requested(events, tx)

    def check_event(self, **changed: Any) -> ChangeCheckRequested:
        """Of a merge request of its own."""
        now = datetime.now(UTC)
        fields: dict[str, Any] = {"id": str(uuid4()), "occurred_at": now, "received_at": now, "source": "gitlab"}
        fields |= {"repository": "acme/shop/checkout", "number": next(NUMBERS), "check_id": "7", "head_sha": SHA}
        fields |= {"check_name": "em-agent", "base_ref": "main", "head_ref": "retry", "author": "ana", "actor": "ana"}
        return ChangeCheckRequested(**fields | changed)

    async def ask_check(self, event: ChangeCheckRequested, **changed: Any) -> int:
        """GitLab has such a merge request, and its check reached us; the approval's number."""
        waiting = {"project": event.repository, "number": event.number, "sha": event.head_sha}
        await self.tell("/gitlab/merge-requests", waiting | {"username": event.author} | changed)
        await self.receive_check(event)
        return int(await self.pool.fetchval("SELECT max(id) FROM approval"))

    async def receive_check(self, *events: ChangeCheckRequested) -> None:
        async with self.pool.acquire() as tx, tx.transaction():
            await self.checks.on_check_requested(events, tx)

    async def pass_by(self, *events: Passing) -> None:
        async with self.pool.acquire() as tx, tx.transaction():
            await self.elsewhere.on_passing(events, tx)

    async def review(self, *reviews: DeploymentReviewed) -> None:
        async with self.pool.acquire() as tx, tx.transaction():
            await self.elsewhere.on_reviewed(reviews, tx)

    def sweep(self, **changed: Any) -> Sweep:
        """One replica's, which looks whenever it is asked and takes gates of any age for settled."""
        fields: dict[str, Any] = {"interval_s": 0, "status": "waiting", "installations": ()}
        fields["settled_after"] = timedelta()
        return Sweep(pool=self.pool, desk=self.desk, handlers=self.handlers, app=self.app, **(fields | changed))

    def teams(self, *, stale_after_s: float = 3600.0) -> tuple[GithubTeams, Desk]:
        """One replica's, which reads all of them whenever it looks, and a desk that goes by it."""
        known = KnownTeams(stale_after_s)
        desk = Desk(self.catalogs, self.policies, Subjects("test"), teams=known)
        reading = GithubTeams(pool=self.pool, policies=self.policies, known=known, app=self.app, interval_s=0)
        return reading, desk

    async def vote(self, number: int, *people: str, verb: Any = "approve", reason: str = "") -> Outcome:
        for person in people:
            actor = Actor(person=person, identity=person, surface="api")
            ballot = Ballot(approval_id=number, verb=verb, reason=reason, actor=actor)
            async with self.pool.acquire() as tx, tx.transaction():
                outcome = await self.desk.vote(tx, ballot)
        return outcome

    # ---- what is there -----------------------------------------------------------------------------------------

    async def show(self, number: int) -> Approval:
        """Its audit tells the same as its row."""
        async with self.pool.acquire() as tx:
            found = await store.approval(tx, number)
            assert found
            assert told(await store.audit(tx, number)) == as_stored(found)
        return found

    async def ended(self, number: int, *, timeout_s: float = 20) -> Approval:
        """Once nothing is to be done for it any more."""

        async def is_done() -> bool:
            waiting = "SELECT 1 FROM effect WHERE approval_id = $1 AND state IN ('pending', 'leased')"
            return not await self.pool.fetchval(waiting, number)

        self.effects.wake()
        await until(is_done, timeout_s=timeout_s, what="an effect waits still")
        return await self.show(number)

    async def effect(self, number: int, kind: str) -> dict[str, Any]:
        row = await self.pool.fetchrow(
            "SELECT state, attempts, result FROM effect WHERE approval_id = $1 AND effect_kind = $2", number, kind
        )
        assert row
        return dict(row)

    async def audit(self, number: int) -> list[dict[str, Any]]:
        async with self.pool.acquire() as tx:
            return [msgspec.to_builtins(entry) for entry in await store.audit(tx, number)]

    async def said(self) -> list[dict[str, Any]]:
        """Events that wait in the outbox, oldest first."""
        rows = await self.pool.fetch("SELECT body FROM outbox ORDER BY sequence")
        return [msgspec.json.decode(row["body"]) for row in rows]

    async def held(self) -> list[str]:
        return [row["reason"] for row in await self.pool.fetch("SELECT reason FROM held ORDER BY id")]

    # ---- the platforms' side -----------------------------------------------------------------------------------

    async def tell(self, path: str, document: Any) -> None:
        (await self.control.post(path, json=document)).raise_for_status()

    async def look(self, path: str) -> Any:
        return (await self.control.get(path)).json()

    async def fail(self, service: str, kind: str, method: str, **more: Any) -> None:
        await self.tell("/faults", [{"service": service, "kind": kind, "method": method, **more}])


def waiting_run(event: DeploymentRequested) -> dict[str, Any]:
    """What GitHub's counterpart is told of the run that the event speaks of."""
    assert event.gate
    return {
        "repository": event.repository,
        "run_id": int(event.gate.run_id),
        "environments": [event.environment],
        "sha": event.sha,
        "actor": event.actor or event.creator,
        "creator": event.creator,
        "deployment_id": int(event.deployment_id),
    }


def _event(fields: Mapping[str, Any]) -> DeploymentRequested:
    now = datetime.now(UTC)
    common: dict[str, Any] = {"occurred_at": now, "received_at": now, "environment": "production", "sha": SHA}
    return DeploymentRequested(**{"id": str(uuid4()), **common, **fields})


@asynccontextmanager
async def opened(
    database_url: str, directory: Path, *, installations: Collection[str] = (), **gitlab: Any
) -> AsyncIterator[Gatehouse]:
    """`installations` of the App that are answered; `gitlab` changes how its account acts."""
    (directory / "catalog.yaml").write_text(CATALOG)
    (directory / "policy.yaml").write_text(POLICY)
    async with AsyncExitStack() as stack:
        counterparts = await stack.enter_async_context(
            sandbox(github_settings=app_settings(), gitlab_settings=GitlabSettings(token=GITLAB_TOKEN))
        )
        control = await stack.enter_async_context(httpx.AsyncClient(base_url=counterparts.control_url))
        client = await stack.enter_async_context(open_client())
        pool = await stack.enter_async_context(open_pool(Settings(database_url=database_url), APPROVALS_SVC))
        catalogs = Catalogs(pool, directory / "catalog.yaml")
        policies = Policies(pool, directory / "policy.yaml", catalogs)
        await catalogs.look()
        await policies.look()
        desk = Desk(catalogs, policies, Subjects("test"))
        rules = GateRules(
            github_api_url=counterparts.github_url,
            acting_origins={"live", "spool"},
            github_installations=frozenset(installations),
            gitlab_is_answered=True,
        )
        handlers = Handlers(desk=desk, subjects=Subjects("test"), rules=rules, slack_signing_secrets=())
        elsewhere = Elsewhere(desk, rules.acting_origins)
        app = _app(counterparts, client)
        account: dict[str, Any] = {"api_url": counterparts.gitlab_url, "token": GITLAB_TOKEN, **gitlab}
        performers: dict[str, Performer] = {"github_gate": Github(app)}
        performers["gitlab_gate"] = Gitlab(Account(**account), client)
        performers["gitlab_check"] = GitlabChecks(Account(**account), client)
        house = Gatehouse(
            pool,
            desk,
            handlers,
            CheckHandlers(desk, rules),
            elsewhere,
            performers,
            counterparts,
            control,
            app,
            catalogs,
            policies,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(house.effects.run(stop))
        yield house
        stop.set()
        await running


def _app(counterparts: Sandbox, client: httpx.AsyncClient) -> GithubApp:
    return GithubApp(App(api_url=counterparts.github_url, app_id=APP_ID, private_key=APP_PRIVATE_KEY), client)
