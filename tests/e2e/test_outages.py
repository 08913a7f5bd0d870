"""PostgreSQL away, then NATS away, under traffic: everything that was accepted arrives once, and nothing dies of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from em.embedded import NatsServer, PostgresServer, embedded_nats, embedded_postgres
from shared.contracts.services import INGEST, METRICS_SVC, NORMALIZER
from shared.db.migrate import bootstrap, migrate
from tests.e2e.test_crash_points import delivery_id, deployment
from tests.line import Line, open_line
from tests.provisioning import provisioned


class Ground:
    def __init__(self, nats: NatsServer, postgres: PostgresServer, line: Line) -> None:
        self.nats = nats
        self.postgres = postgres
        self.line = line


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    """Servers of the test's own, which it may take away."""
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(embedded_nats(tmp_path / "nats"))
        postgres = await stack.enter_async_context(embedded_postgres(tmp_path / "pg"))
        await bootstrap(postgres.dsn, progress=lambda _: None)
        await migrate(postgres.dsn, progress=lambda _: None)
        await provisioned(nats.url, "away")
        line = await stack.enter_async_context(
            open_line(nats_url=nats.url, database_url=postgres.dsn, prefix="away", directory=tmp_path)
        )
        await line.start(INGEST, NORMALIZER, METRICS_SVC)
        yield Ground(nats, postgres, line)


async def send(line: Line, first: int, last: int) -> list[int]:
    """Those that were accepted; one that was not is not ours to keep."""
    accepted = []
    for number in range(first, last):
        answer = await line.send_github("deployment_status", deployment(number), delivery=delivery_id(number))
        assert answer.status_code in (202, 503)
        if answer.status_code == 202:
            accepted.append(number)
        await asyncio.sleep(0.02)
    return accepted


@pytest.mark.parametrize("which", ["postgres", "nats"])
async def test_server_away_loses_nothing_and_charges_nobody(ground: Ground, scale: int, which: str) -> None:
    """Away longer than `ack_wait`: 12 s, 60 s at full scale."""
    line = ground.line
    server = ground.postgres if which == "postgres" else ground.nats
    accepted = await send(line, 0, 40)
    sending = asyncio.create_task(send(line, 40, 90))
    await asyncio.sleep(0.2)
    await server.kill()
    await asyncio.sleep(12 if scale == 1 else 60)
    await server.start()
    accepted += await sending
    accepted += await send(line, 100, 130)
    await line.settled(timeout_s=60)

    deployed = sorted(number for number in accepted if number % 100 != 99)
    rows = await line.fetch("SELECT delivery, disposition FROM normalizer.delivery WHERE delivery = ANY($1)",
                            [delivery_id(number) for number in accepted])  # fmt: skip
    assert len(rows) == len(accepted)
    facts = {int(row["deployment_id"]) for row in await line.fetch("SELECT deployment_id FROM metrics.deployment")}
    assert facts >= {*deployed}
    assert await line.messages("DEAD") == 0
    for schema in ("normalizer", "metrics"):
        assert await line.count(f"{schema}.attempt") == 0
