"""Law 5, S16, S17: who may say, hear and touch what, asked of real servers that run with the shipped rights."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import nats
import pytest
from nats.aio.client import Client

from em.credentials import new_seed
from em.embedded import NatsServer, embedded_nats
from em.nats_users import users_file
from shared.bus.connection import InvalidNatsUser, open_bus, open_operator
from shared.bus.provision import provision
from shared.contracts.envelope import Outgoing
from shared.contracts.events import KINDS
from shared.contracts.rights import OPERATOR, OWNED, REPLIES, USERS, owned_words
from shared.contracts.services import APPROVALS_SVC, INGEST, METRICS_SVC, NORMALIZER, NOTIFIER, SERVICES, Service
from shared.contracts.streams import DURABLES, STREAMS
from shared.contracts.subjects import Subjects
from shared.settings import ServiceSettings
from tests.provisioning import ATTESTED

SUBJECTS = Subjects("em")
WITH_SCHEMA = [service for service in SERVICES if service.schema]
ANSWER_S = 2

# Every subject that somebody may publish, with those who may (the operator apart).
SAID: dict[str, set[str]] = {
    SUBJECTS.raw(source="github", event="push"): {INGEST.name},
    SUBJECTS.event("change.merged"): {NORMALIZER.name},
    SUBJECTS.event("chat.action"): {NORMALIZER.name},
    SUBJECTS.event("approval.decided"): {APPROVALS_SVC.name},
    SUBJECTS.event("metric.changed"): {METRICS_SVC.name},
    SUBJECTS.notify: {NORMALIZER.name, METRICS_SVC.name, APPROVALS_SVC.name},
    SUBJECTS.replay(job="j1", kind="change.merged"): {NORMALIZER.name},
    **{SUBJECTS.dead(service.name): {service.name} for service in SERVICES if service is not INGEST},
}
DESTRUCTIVE = ("STREAM.DELETE", "STREAM.PURGE", "STREAM.UPDATE", "STREAM.CREATE", "STREAM.MSG.GET", "STREAM.MSG.DELETE")


@pytest.fixture(scope="module")
def seeds() -> Mapping[str, str]:
    return {user: new_seed() for user in USERS}


@pytest.fixture(scope="module")
async def server(seeds: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[NatsServer]:
    directory = tmp_path_factory.mktemp("rights")
    async with embedded_nats(directory, users=users_file(seeds, SUBJECTS)) as opened:
        async with open_operator(settings(opened, seeds[OPERATOR])) as bus:
            await provision(bus, ATTESTED, progress=lambda _: None)
        yield opened


def settings(server: NatsServer, seed: str) -> ServiceSettings:
    return ServiceSettings(nats_url=server.url, nats_nkey_seed=seed)


class Asker:
    """A user's connection that remembers what the server denied it."""

    def __init__(self, connection: Client, denied: list[str]) -> None:
        self.connection = connection
        self.denied = denied

    async def may_publish(self, subject: str) -> bool:
        """A publish is denied by a word to the connection alone: ask, then hear whether the word came."""
        await self.connection.publish(subject, b"{}")
        return not await self._hears_denial_of(subject)

    async def may_subscribe(self, subject: str) -> bool:
        subscription = await self.connection.subscribe(subject)
        denied = await self._hears_denial_of(subject)
        if not denied:
            await subscription.unsubscribe()
        return not denied

    async def _hears_denial_of(self, subject: str) -> bool:
        """The word comes before the answer to the flush, but the client tells it a little later."""
        await self.connection.flush(timeout=ANSWER_S)
        for _ in range(10):
            if any(f'"{subject.lower()}"' in text.lower() for text in self.denied):
                return True
            await asyncio.sleep(0.005)
        return False


@asynccontextmanager
async def asker(server: NatsServer, seed: str, user: str) -> AsyncIterator[Asker]:
    denied: list[str] = []

    async def note(error: Exception) -> None:
        denied.append(str(error))

    connection = await nats.connect(
        server.url, nkeys_seed_str=seed, inbox_prefix=f"_INBOX_{user}", error_cb=note, allow_reconnect=False
    )
    try:
        yield Asker(connection, denied)
    finally:
        await connection.close()


@pytest.mark.parametrize("user", [service.name for service in SERVICES])
async def test_law_5_S17_user_is_denied_every_foreign_subject(
    server: NatsServer, seeds: Mapping[str, str], user: str
) -> None:
    async with asker(server, seeds[user], user) as asks:
        wrong = [subject for subject, owners in SAID.items() if await asks.may_publish(subject) != (user in owners)]
        assert wrong == []
        for stream in (SUBJECTS.stream(stream.name) for stream in STREAMS):
            for request in DESTRUCTIVE:
                assert not await asks.may_publish(f"$JS.API.{request}.{stream}"), (request, stream)
            for request in ("CONSUMER.CREATE", "CONSUMER.DELETE", "CONSUMER.DURABLE.CREATE"):
                assert not await asks.may_publish(f"$JS.API.{request}.{stream}.{user}"), (request, stream)
        for durable in DURABLES:
            place = f"{SUBJECTS.stream(durable.stream)}.{durable.name}"
            own = durable.name == user
            assert await asks.may_publish(f"$JS.API.CONSUMER.MSG.NEXT.{place}") == own, place
            assert await asks.may_publish(f"$JS.ACK.{place}.1.1.1.1.1") == own, place
        assert not await asks.may_publish(f"$KV.{SUBJECTS.durability_bucket}.proof")
        assert not await asks.may_publish("$SYS.REQ.SERVER.PING")


@pytest.mark.parametrize("user", [service.name for service in SERVICES])
async def test_S17_user_hears_only_its_own_inbox(server: NatsServer, seeds: Mapping[str, str], user: str) -> None:
    async with asker(server, seeds[user], user) as asks:
        assert await asks.may_subscribe(f"_INBOX_{user}.mine")
        for foreign in (">", "em.>", "em.events.>", "$SYS.>", "$JS.>", "_INBOX.>", "_INBOX_operator.>"):
            assert not await asks.may_subscribe(foreign), foreign


async def test_S17_anonymous_and_unknown_users_are_refused_at_once(
    server: NatsServer, seeds: Mapping[str, str]
) -> None:
    for seed in ("", new_seed()):
        with pytest.raises(InvalidNatsUser, match="NATS_NKEY_SEED"):
            async with asyncio.timeout(5), open_bus(settings(server, seed), METRICS_SVC):
                pass
    with pytest.raises(InvalidNatsUser, match="not an nkey seed"):
        async with open_bus(settings(server, "SUnonsense"), METRICS_SVC):
            pass


async def test_S17_denied_publish_is_not_ready_and_says_why(server: NatsServer, seeds: Mapping[str, str]) -> None:
    """The publisher itself only hears nothing."""
    async with open_bus(settings(server, seeds[NOTIFIER.name]), NOTIFIER) as bus:
        assert await bus.problem() is None
        message = Outgoing(subject=SUBJECTS.event("approval.decided"), body=b"{}", headers={"Nats-Msg-Id": "forged"})
        with pytest.raises(Exception, match="no acknowledgement"):
            await bus.publisher.publish(message, timeout_s=0.5)
        assert "em.events.approval.decided" in (await bus.problem() or "")


def test_law_5_every_kind_has_exactly_one_owner() -> None:
    events = [kind for kind in KINDS if not kind.startswith(f"{REPLIES}.")]
    owners = {kind: [s.name for s in SERVICES if kind.partition(".")[0] in owned_words(s)] for kind in events}
    assert {kind: found for kind, found in owners.items() if len(found) != 1} == {}
    assert set(OWNED) <= {service.name for service in SERVICES}


@pytest.mark.parametrize("service", WITH_SCHEMA, ids=lambda service: service.name)
async def test_law_5_S16_login_is_denied_every_foreign_schema(database_url: str, service: Service) -> None:
    """A login of its own: there is no other role to go back to."""
    password = f"pw{datetime.now(UTC).timestamp():.0f}"
    async with AsyncExitStack() as stack:
        admin = await asyncpg.connect(database_url)
        stack.push_async_callback(admin.close)
        await admin.execute(f"ALTER ROLE {service.name} PASSWORD '{password}'")
        connection = await asyncpg.connect(database_url, user=service.name, password=password)
        stack.push_async_callback(connection.close)
        assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1
        for other in WITH_SCHEMA:
            if other is service:
                continue
            tables = await admin.fetch("SELECT tablename FROM pg_tables WHERE schemaname = $1", other.schema)
            assert tables
            for table in (row["tablename"] for row in tables):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.fetch(f"SELECT * FROM {other.schema}.{table}")
                for statement in (
                    f"DELETE FROM {other.schema}.{table}",
                    f"INSERT INTO {other.schema}.{table} DEFAULT VALUES",
                ):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await connection.execute(statement)
            for statement in (f"SET ROLE {other.name}", f"CREATE TABLE {other.schema}.mine ()"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        for forbidden in (
            f"CREATE TABLE {service.schema}.mine ()",
            "CREATE TABLE public.mine ()",
            "CREATE SCHEMA mine",
            "CREATE ROLE mine",
            f"DROP TABLE {service.schema}.waiting",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forbidden)


async def test_credentials_are_made_once_and_read_by_their_owner_alone(tmp_path: Path) -> None:
    from em.commands.credentials import credentials

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATABASE_URL", "postgresql://em:admin@db:5432/em")
        credentials(tmp_path)
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        credentials(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    secret = [path for path in before if path.name in ("nkey", "database_url")]
    assert len(secret) == len(USERS) + len(WITH_SCHEMA)
    assert {path.stat().st_mode & 0o777 for path in secret} == {0o600}
    assert b"admin" not in (tmp_path / "notifier" / "database_url").read_bytes()
    assert not any(before[path].strip() in (tmp_path / "nats" / "users.conf").read_bytes() for path in secret)
