"""Laws 1 and 5, N-16: the line under its own rights, what they keep from a thief, and servers away or forgetful."""

import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from msgspec.structs import replace as replace_fields
from nats import connect
from nats.aio.client import Client

from em.credentials import new_seed
from em.embedded import NatsServer, PostgresServer
from em.embedded.server import Server
from em.nats_users import users_file
from em.program import Program, Ready
from em.sandbox.server import Sandbox, sandbox
from shared.bus.connection import open_operator
from shared.bus.provision import provision
from shared.contracts.envelope import encode_event, event_headers
from shared.contracts.events import DeploymentRequested, Event, Gate
from shared.contracts.rights import OPERATOR, USERS
from shared.contracts.services import APPROVALS_SVC, INGEST, METRICS_SVC, NORMALIZER, NOTIFIER, SERVICES, Service
from shared.contracts.streams import APPROVALS_EVENTS
from shared.contracts.subjects import Subjects
from shared.db.migrate import bootstrap, migrate
from shared.db.pool import ForgetfulDatabase, open_pool
from shared.settings import DatabaseSettings, ServiceSettings
from tests.forging import Forger
from tests.gatehouse import APP_ID, APP_PRIVATE_KEY, app_settings
from tests.line import SLACK_SECRET, Line
from tests.provisioning import ATTESTED, provisioned
from tests.waiting import until

SUBJECTS = Subjects("em")
CATALOG = """
version: 1
people:
  - {name: ana, github: [ana-k], slack: [U0ANA]}
  - {name: bo, github: [bo-l], slack: [U0BO]}
  - {name: cy, github: [cy-m], slack: [U0CY]}
  - {name: di, github: [di-n], slack: [U0DI]}
services: [{name: checkout, repositories: [acme/checkout]}]
"""
POLICY = """
version: 1
groups: {release: {people: [ana, bo, cy]}}
rules: [{name: all, outcome: require, requires: {group: release, count: 2}, separation: [requester]}]
"""
FORGERIES = 1000
PULL_REQUEST = Path(__file__).parent.parent / "fixtures/github/pull_request.merged.json"


class ConfinedLine(Line):
    """Every service with its own key and login; nobody has the administrator's."""

    def __init__(self, *, seeds: Mapping[str, str], logins: Mapping[str, str], **where: object) -> None:
        super().__init__(**where)  # type: ignore[arg-type]  # passed on as they are
        self._seeds = seeds
        self._logins = logins

    def _program(self, service: Service) -> Program:
        program = super()._program(service)
        env = {name: value for name, value in program.env.items() if name != "DATABASE_URL"}
        env["NATS_NKEY_SEED"] = self._seeds[service.name]
        if service.schema:
            env[f"{service.variable}_DATABASE_URL"] = self._logins[service.name]
        return replace(program, env=env)

    @asynccontextmanager
    async def broker(self) -> AsyncIterator[Client]:
        async with open_operator(ServiceSettings(nats_url=self.nats_url, nats_nkey_seed=self._seeds[OPERATOR])) as bus:
            yield bus.connection


@pytest.fixture
def seeds() -> dict[str, str]:
    return {user: new_seed() for user in USERS}


@pytest.fixture
async def nats(seeds: dict[str, str], tmp_path: Path) -> AsyncIterator[NatsServer]:
    async with NatsServer(tmp_path / "nats", users=users_file(seeds, SUBJECTS)) as server:
        async with open_operator(ServiceSettings(nats_url=server.url, nats_nkey_seed=seeds[OPERATOR])) as bus:
            await provision(bus, ATTESTED, progress=lambda _: None)
        yield server


@pytest.fixture
async def platforms() -> AsyncIterator[Sandbox]:
    async with sandbox(github_settings=app_settings()) as running:
        yield running


@pytest.fixture
async def confined(
    nats: NatsServer, seeds: dict[str, str], platforms: Sandbox, database_url: str, tmp_path: Path
) -> AsyncIterator[ConfinedLine]:
    logins = {service.name: await _login(database_url, service) for service in SERVICES if service.schema}
    async with AsyncExitStack() as stack:
        line = ConfinedLine(
            seeds=seeds,
            logins=logins,
            nats_url=nats.url,
            database_url=database_url,
            prefix="em",
            directory=tmp_path,
            environment={
                "CATALOG_PATH": str(tmp_path / "catalog.yaml"),
                "POLICY_PATH": str(tmp_path / "policy.yaml"),
                "GITHUB_API_URL": platforms.github_url,
                "GITHUB_APP_ID": APP_ID,
                "GITHUB_APP_PRIVATE_KEY": APP_PRIVATE_KEY,
                "GITHUB_SWEEP_S": "0",
                "GITHUB_REPORTS": "false",
            },
        )
        (tmp_path / "catalog.yaml").write_text(CATALOG)
        (tmp_path / "policy.yaml").write_text(POLICY)
        stack.push_async_callback(line.close)
        yield line


async def _login(database_url: str, service: Service) -> str:
    password = uuid4().hex
    admin = await asyncpg.connect(database_url)
    await admin.execute(f"ALTER ROLE {service.name} PASSWORD '{password}'")
    await admin.close()
    return _as(database_url, f"{service.name}:{password}")


def _as(database_url: str, login: str) -> str:
    return f"postgresql://{login}@{database_url.rpartition('@')[2]}"


async def test_law_5_delivery_travels_the_whole_line_under_its_own_rights(confined: ConfinedLine) -> None:
    await confined.start(*SERVICES)
    body = json.loads(PULL_REQUEST.read_text())["body"]

    answer = await confined.send_github("pull_request", json.dumps(body).encode())
    await confined.settled()

    assert answer.status_code == 202
    assert await confined.count("metrics.change") == 1
    assert await confined.messages("DEAD") == 0
    assert [s.name for s in SERVICES if "permissions violation" in confined.log(s).lower()] == []


async def test_S18_thief_of_normalizers_credentials_casts_no_vote(
    confined: ConfinedLine, nats: NatsServer, seeds: dict[str, str], database_url: str
) -> None:
    await confined.start(APPROVALS_SVC)
    async with thief(nats, seeds[NORMALIZER.name]) as stolen:
        await stolen(_gate())
        await _handled(confined)
        [row] = await confined.fetch("SELECT id FROM approvals.approval")
        forger = Forger(secret=SLACK_SECRET, number=row["id"], seed=7)

        for forgery in forger.forgeries(FORGERIES):
            await stolen(forgery)
        await _handled(confined)
        refused = await confined.count("approvals.held") + await _refused(confined)
        await _cannot_write_votes(await _login(database_url, NORMALIZER))

        assert refused == FORGERIES
        assert await confined.count("approvals.vote") == 0
        # What is not forged is heard: the others failed for being forged.
        genuine = forger.click("U0BO")
        await stolen(genuine)
        await stolen(genuine.stamped(id="again", source="slack", origin="live", received_at=genuine.received_at))
        await _handled(confined)
        votes = await confined.fetch("SELECT voter FROM approvals.vote")
        [found] = await confined.fetch("SELECT status FROM approvals.approval")
        assert ([vote["voter"] for vote in votes], found["status"]) == (["bo"], "pending")


FORGED_GATES = {
    "creator": {"creator": "ana-k"},
    "actor": {"actor": "di-n"},
    "commit": {"sha": "c0ffee" * 6},
    "environment": {"environment": "staging"},
    "deployment": {"deployment_id": "71"},
    "no deployment": {"deployment_id": "", "sha": "c0ffee" * 6},
}


@pytest.mark.parametrize("forged", FORGED_GATES.values(), ids=FORGED_GATES)
async def test_S18_thief_of_normalizers_credentials_invents_no_gate_that_is_let_through(
    confined: ConfinedLine, nats: NatsServer, seeds: dict[str, str], platforms: Sandbox, forged: dict[str, str]
) -> None:
    """Two people say yes, each by a click that Slack signed, to what is not what waits at GitHub."""
    true = {"sha": "badbad" * 6, "creator": "di-n", "actor": "ana-k", "deployment_id": "70"}
    await _wait_at_github(confined, platforms, run_id=7, **true)
    harmless = true | {"deployment_id": "71", "sha": "c0ffee" * 6}
    await _wait_at_github(confined, platforms, run_id=8, **harmless)
    await confined.start(APPROVALS_SVC)
    async with thief(nats, seeds[NORMALIZER.name]) as stolen:
        await stolen(_gate("7", **true | forged))
        await _let_two_agree(confined, stolen, number=1)
        await stolen(_gate("8", **harmless))
        await _let_two_agree(confined, stolen, number=2)

        await until(lambda: _are_carried_out(confined), timeout_s=20, what="an effect waits still")

    found = await confined.fetch("SELECT status FROM approvals.approval ORDER BY id")
    decisions = (await confined.http.get(f"{platforms.control_url}/github/decisions")).json()
    assert [row["status"] for row in found] == ["dead", "executed"]
    assert [(each["run_id"], "#2 " in each["comment"]) for each in decisions] == [(8, True)]


async def _wait_at_github(line: ConfinedLine, platforms: Sandbox, *, run_id: int, **true: str) -> None:
    run = {"repository": "acme/checkout", "run_id": run_id, "environments": ["production"]}
    told = run | true | {"deployment_id": int(true["deployment_id"])}
    (await line.http.post(f"{platforms.control_url}/github/runs", json=told)).raise_for_status()


async def _let_two_agree(line: ConfinedLine, stolen: Callable[[Event], Awaitable[None]], *, number: int) -> None:
    await _handled(line)
    people = Forger(secret=SLACK_SECRET, number=number, seed=number)
    for voter in ("U0BO", "U0CY"):
        await stolen(people.click(voter))
    await _handled(line)


async def _are_carried_out(line: ConfinedLine) -> bool:
    return not await line.fetch("SELECT 1 FROM approvals.effect WHERE state IN ('pending', 'leased')")


def _gate(run_id: str = "7", **said: str) -> DeploymentRequested:
    now = datetime.now(UTC)
    event = DeploymentRequested(
        occurred_at=now,
        repository="acme/checkout",
        deployment_id="70",
        environment="production",
        sha="c0ffee" * 6,
        creator="ana-k",
        actor="ana-k",
        gate=Gate(run_id=run_id, callback_url="", installation_id="99"),
    ).stamped(id=f"gate-{run_id}", source="github", origin="live", received_at=now)
    return replace_fields(event, **said)


@asynccontextmanager
async def thief(server: NatsServer, seed: str) -> AsyncIterator[Callable[[Event], Awaitable[None]]]:
    """Says events as normalizer may."""
    connection = await connect(server.url, nkeys_seed_str=seed, inbox_prefix=f"_INBOX_{NORMALIZER.name}")

    async def say(event: Event) -> None:
        subject = SUBJECTS.event(event.kind)
        await connection.jetstream().publish(subject, encode_event(event), headers=event_headers(event))

    try:
        yield say
    finally:
        await connection.close()


async def _handled(line: ConfinedLine) -> None:
    async def is_handled() -> bool:
        return not await line.pending(APPROVALS_EVENTS)

    await until(is_handled, timeout_s=60, what="approvals-svc did not handle what was said")


async def _refused(line: ConfinedLine) -> int:
    [row] = await line.fetch("SELECT count(*) AS refused FROM approvals.audit WHERE verb = 'refused'")
    return int(row["refused"])


async def _cannot_write_votes(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in (
            "INSERT INTO approvals.vote SELECT 1, 1, 'bo', 'approve', '', 'slack', 'U0BO', now()",
            "UPDATE approvals.approval SET status = 'approved', decision = 'approved', decided_at = now()",
            "SET ROLE approvals_svc",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()


async def test_N16_service_whose_user_is_taken_away_ends_at_once_and_says_why(
    confined: ConfinedLine, nats: NatsServer, seeds: dict[str, str]
) -> None:
    await confined.start(INGEST)
    configuration = Path(nats.program.cwd) / "nats.conf"
    configuration.write_text(
        configuration.read_text().replace(users_file(seeds, SUBJECTS), users_file(_without(seeds, INGEST), SUBJECTS))
    )

    assert nats.pid is not None
    os.kill(nats.pid, signal.SIGHUP)
    await until(lambda: _has_ended(confined.servers[INGEST.name]), timeout_s=5, what="ingest did not end")

    assert "service.failed" in confined.log(INGEST) or "NATS refuses the user ingest" in confined.log(INGEST)
    with pytest.raises(Exception, match="exited with code 78"):
        await Server(confined._program(INGEST)).start()
    assert "NATS refuses the user ingest: check NATS_NKEY_SEED" in confined.log(INGEST)


async def test_service_answers_while_its_servers_are_away_and_becomes_ready_when_they_come(tmp_path: Path) -> None:
    nats, postgres = NatsServer(tmp_path / "nats"), PostgresServer(tmp_path / "pg")
    async with AsyncExitStack() as stack:
        line = Line(
            nats_url=nats.url, database_url=postgres.dsn, prefix="em", directory=tmp_path / "nats", environment={}
        )
        stack.push_async_callback(line.close)
        program = replace(line._program(METRICS_SVC), ready=Ready(url=line.url(METRICS_SVC, "/live"), deadline_s=10))
        line.servers[METRICS_SVC.name] = Server(program)

        await line.start(METRICS_SVC)
        ready = await line.http.get(line.url(METRICS_SVC, "/ready"))

        assert ready.status_code == 503
        assert {"nats", "database"} <= set(ready.json()["problems"])

        for server in (postgres, nats):
            await stack.enter_async_context(server)
        await bootstrap(postgres.dsn, progress=lambda _: None)
        await migrate(postgres.dsn, progress=lambda _: None)
        await provisioned(nats.url, "em")
        await until(lambda: _is_ready(line, METRICS_SVC), timeout_s=30, what="metrics-svc did not become ready")


@pytest.mark.parametrize("name", ["fsync", "full_page_writes", "synchronous_commit"])
async def test_law_1_service_refuses_a_database_that_forgets(tmp_path: Path, name: str) -> None:
    async with PostgresServer(tmp_path) as postgres:
        await bootstrap(postgres.dsn, progress=lambda _: None)
        admin = await asyncpg.connect(postgres.dsn)
        await admin.execute(f"ALTER SYSTEM SET {name} = off")
        await admin.execute("SELECT pg_reload_conf()")
        await until(lambda: _is_off(postgres.dsn, name), timeout_s=5, what=f"{name} is still on")
        await admin.close()

        with pytest.raises(ForgetfulDatabase, match=f"{name}=off"):
            async with open_pool(DatabaseSettings(database_url=postgres.dsn), NORMALIZER):
                pass


async def test_S16_password_is_read_again_at_each_new_connection(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "database_url"
    secret.write_text(await _login(database_url, NOTIFIER))
    monkeypatch.setenv("NOTIFIER_DATABASE_URL_FILE", str(secret))

    async with open_pool(DatabaseSettings(database_url=""), NOTIFIER) as pool:
        secret.write_text(await _login(database_url, NOTIFIER))
        await pool.expire_connections()

        assert await pool.fetchval("SELECT session_user") == NOTIFIER.name


async def test_S16_role_is_pinned_for_whoever_connects_with_it(database_url: str) -> None:
    connection = await asyncpg.connect(await _login(database_url, NOTIFIER))
    try:
        assert await connection.fetchval("SHOW search_path") == "notifier, extensions"
        assert await connection.fetchval("SHOW lock_timeout") == "5s"
        assert await connection.fetchval("SHOW statement_timeout") == "20s"
        assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "30s"
    finally:
        await connection.close()


async def test_S16_bootstrap_takes_memberships_away(database_url: str) -> None:
    admin = await asyncpg.connect(database_url)
    try:
        await admin.execute("GRANT metrics_svc TO notifier")
        await bootstrap(database_url, progress=lambda _: None)
        assert await admin.fetchval("SELECT pg_has_role('notifier', 'metrics_svc', 'member')") is False
    finally:
        await admin.execute("REVOKE metrics_svc FROM notifier")
        await admin.close()


async def _is_off(dsn: str, name: str) -> bool:
    connection = await asyncpg.connect(dsn)
    try:
        return bool(await connection.fetchval(f"SHOW {name}") == "off")
    finally:
        await connection.close()


async def _is_ready(line: Line, service: Service) -> bool:
    return (await line.http.get(line.url(service, "/ready"))).status_code == 200


async def _has_ended(server: Server) -> bool:
    return server._process is not None and server._process.poll() is not None


def _without(seeds: Mapping[str, str], service: Service) -> dict[str, str]:
    return {user: seed for user, seed in seeds.items() if user != service.name}
