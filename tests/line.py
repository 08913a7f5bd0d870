"""The line under test: real service processes on a prefix, a database and ports of their own."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import nats
from nats.aio.client import Client

from em.embedded.ports import free_ports
from em.embedded.server import Server
from em.program import Program, Ready
from em.sandbox.sender import github_headers, pagerduty_headers, slack_request
from shared.bus.browse import unacknowledged
from shared.contracts.services import NORMALIZER, SERVICES, Service
from shared.contracts.streams import DURABLES, Durable
from shared.contracts.subjects import Subjects
from tests.waiting import until

GITHUB_SECRET = "github-test-secret"
PAGERDUTY_SECRET = "pagerduty-test-secret"
SLACK_SECRET = "slack-test-secret"
ARGOCD_SECRET = "argocd-test-secret"
HEROKU_SECRET = "heroku-test-secret"
REPORT_SECRET = "report-test-secret"
SECRETS = {
    "GITHUB_WEBHOOK_SECRET": GITHUB_SECRET,
    "PAGERDUTY_WEBHOOK_SECRET": PAGERDUTY_SECRET,
    "SLACK_SIGNING_SECRET": SLACK_SECRET,
    "ARGOCD_WEBHOOK_SECRET": ARGOCD_SECRET,
    "HEROKU_WEBHOOK_SECRET": HEROKU_SECRET,
    "REPORT_WEBHOOK_SECRET": REPORT_SECRET,
}
# When rows arrived, in which order, and by which copy, and what was told by then: all that may differ between two runs.
BOOKKEEPING = (
    "inbox",
    "outbox",
    "alembic_version",
    "duplicate",
    "ledger_check",
    "told_week",
    "told_day",
    "told_shift",
    "raised_signal",
)
ARRIVAL_COLUMNS = frozenset(
    {
        "archived_at",
        "received_at",
        "recorded_at",
        "known_from",
        "causes",
        "revision",
        "stream_sequence",
        "id",
        "delivery_id",
        "created_at",
        "catalog_version",
        "loaded_at",
    }
)


class Line:
    """Services are started by name and reached by `url`; all state is under the test's own prefix and database."""

    def __init__(
        self, *, nats_url: str, database_url: str, prefix: str, directory: Path, environment: Mapping[str, str]
    ) -> None:
        self.nats_url = nats_url
        self.database_url = database_url
        self.subjects = Subjects(prefix)
        self.servers: dict[str, Server] = {}
        self.http = httpx.AsyncClient(timeout=30)
        self.directory = directory
        self._ports = dict(zip((s.name for s in SERVICES), free_ports(len(SERVICES)), strict=True))
        self._failpoints: dict[str, str] = {}
        self._environment = {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "PYTHONPATH")},
            **SECRETS,
            **{f"{service.variable}_PORT": str(self._ports[service.name]) for service in SERVICES},
            "NATS_URL": nats_url,
            "NATS_PREFIX": prefix,
            "DATABASE_URL": database_url,
            "DB_POOL_SIZE": "2",
            **environment,
        }

    def url(self, service: Service, path: str = "") -> str:
        return f"http://127.0.0.1:{self._ports[service.name]}{path}"

    def arm(self, service: Service, failpoint: str) -> None:
        """For its next start: see `shared.bus.failpoints`; empty disarms."""
        self._failpoints[service.name] = failpoint
        if service.name in self.servers:
            self.servers[service.name].program = self._program(service)

    async def start(self, *services: Service) -> None:
        servers = [self.servers.setdefault(s.name, Server(self._program(s))) for s in services]
        async with asyncio.TaskGroup() as group:
            for server in servers:
                group.create_task(server.start())

    def log(self, service: Service) -> str:
        return (self.directory / f"{service.name}.log").read_text()

    def _program(self, service: Service) -> Program:
        return Program(
            name=service.name,
            argv=(sys.executable, "-m", service.name),
            env={**self._environment, "FAILPOINT": self._failpoints.get(service.name, "")},
            cwd=str(self.directory),
            log_path=str(self.directory / f"{service.name}.log"),
            ready=Ready(url=self.url(service, "/ready"), deadline_s=30),
        )

    # ---- sending, as the platforms do --------------------------------------------------------------------------

    async def post(self, source: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        return await self.http.post(self.url(SERVICES[0], f"/webhooks/{source}"), content=body, headers=dict(headers))

    async def send_github(self, event: str, body: bytes, *, delivery: str | None = None) -> httpx.Response:
        headers = github_headers(GITHUB_SECRET, event, str(uuid4()) if delivery is None else delivery, body)
        return await self.post("github", body, headers)

    async def send_pagerduty(self, body: bytes, *, webhook_id: str | None = None) -> httpx.Response:
        headers = pagerduty_headers(PAGERDUTY_SECRET, body, webhook_id or str(uuid4()))
        return await self.post("pagerduty", body, headers)

    async def send_slack(self, body: bytes, *, now: float | None = None) -> httpx.Response:
        return await self.post("slack", body, slack_request(SLACK_SECRET, body, now))

    # ---- looking -----------------------------------------------------------------------------------------------

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(self.database_url)
        try:
            return await connection.fetch(query, *arguments)
        finally:
            await connection.close()

    async def count(self, table: str) -> int:
        [row] = await self.fetch(f"SELECT count(*) AS rows FROM {table}")  # names from our tests
        return int(row["rows"])

    async def settled(self, *, timeout_s: float = 60) -> None:
        """Every message handled, every outbox empty."""
        await until(self._is_settled, timeout_s=timeout_s, what="the line did not settle")

    async def _is_settled(self) -> bool:
        """Consumers first: what they have still to do may fill an outbox, and what an outbox holds a consumer."""
        once = [s for s in SERVICES if s.schema and s is not NORMALIZER and s.name in self.servers]
        return (
            await self._nothing_pending()
            and not any([await self.count(f"{service.schema}.outbox") for service in once])
            and await self._nothing_pending()
        )

    async def _nothing_pending(self) -> bool:
        return not any([await self.pending(durable) for durable in self._running()])

    def _running(self) -> list[Durable]:
        return [durable for durable in DURABLES if durable.name in self.servers]

    async def pending(self, durable: Durable) -> int:
        """Messages a consumer has still to acknowledge."""
        async with self.broker() as connection:
            return await unacknowledged(connection.jetstream(), self.subjects, durable)

    async def messages(self, stream: str, subject: str = ">") -> int:
        async with self.broker() as connection:
            info = await connection.jetstream().stream_info(self.subjects.stream(stream), subjects_filter=subject)
            return sum((info.state.subjects or {}).values())

    @asynccontextmanager
    async def broker(self) -> AsyncIterator[Client]:
        connection = await nats.connect(self.nats_url)
        try:
            yield connection
        finally:
            await connection.close()

    async def dump(self, schema: str, *, without: Sequence[str] = BOOKKEEPING) -> dict[str, Any]:
        """Every table of a schema in key order, arrival columns aside."""
        tables = await self.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = $1 AND table_type = 'BASE TABLE'",
            schema,
        )
        names = sorted(
            name for name in (row["table_name"] for row in tables) if name not in without and not name.endswith("_past")
        )
        return {name: await self._rows(f"{schema}.{name}") for name in names}

    async def _rows(self, table: str) -> list[tuple[tuple[str, object], ...]]:
        rows = await self.fetch(f"SELECT * FROM {table}")  # a name from the catalogue
        kept = [tuple((k, v) for k, v in row.items() if k not in ARRIVAL_COLUMNS) for row in rows]
        return sorted(kept, key=repr)

    async def stop(self) -> None:
        async with asyncio.TaskGroup() as group:
            for server in self.servers.values():
                group.create_task(server.stop())

    async def close(self) -> None:
        await self.stop()
        await self.http.aclose()


@asynccontextmanager
async def open_line(
    *, nats_url: str, database_url: str, prefix: str, directory: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Line]:
    async with AsyncExitStack() as stack:
        line = Line(
            nats_url=nats_url,
            database_url=database_url,
            prefix=prefix,
            directory=directory,
            environment=environment or {},
        )
        stack.push_async_callback(line.close)
        yield line
