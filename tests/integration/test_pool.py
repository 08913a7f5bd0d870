"""The pool's limits, on a real PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from metrics_svc.settings import Settings
from shared.contracts.services import METRICS_SVC
from shared.db import Pool, pool
from shared.db.pool import INFRASTRUCTURE_ERRORS, allow_time, open_pool
from tests.waiting import until

pytestmark = pytest.mark.asyncio
LOCK = 42


@pytest.fixture
async def opened(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pool]:
    monkeypatch.setattr(pool, "TRANSACTION_TIMEOUT_MS", 500)
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as found:
        yield found


async def test_P05_what_a_process_locked_before_it_was_stopped_in_a_statement_is_let_go(opened: Pool) -> None:
    """Between the messages of one statement neither of PostgreSQL's limits on statements and idleness holds."""
    async with opened.acquire() as other:
        pass  # the second use of a connection has the limit too
    async with opened.acquire() as stopped, opened.acquire() as other:
        transaction = stopped.transaction()
        await transaction.start()
        await stopped.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        await stopped.prepare("SELECT 1 + $1::int")  # the server waits for its execution

        async def is_free() -> bool:
            return bool(await other.fetchval("SELECT pg_try_advisory_lock($1)", LOCK))

        assert not await is_free()
        await until(is_free, timeout_s=5, what="the lock was not let go")
        with pytest.raises(INFRASTRUCTURE_ERRORS):
            await stopped.fetchval("SELECT 1")


async def test_a_transaction_that_is_allowed_time_has_it(opened: Pool) -> None:
    async with opened.acquire() as tx, tx.transaction():
        await allow_time(tx)
        await tx.execute("SELECT pg_sleep(0.8)")
    with pytest.raises(INFRASTRUCTURE_ERRORS):
        await opened.execute("BEGIN; SELECT pg_sleep(0.8); COMMIT")


async def test_a_server_without_that_limit_serves_all_the_same(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "TRANSACTION_TIMEOUT_SINCE", 1_000)
    async with open_pool(Settings(database_url=database_url), METRICS_SVC) as found:
        for _ in range(2):  # its second use comes after a reset
            async with found.acquire() as tx, tx.transaction():
                await allow_time(tx)
                assert await tx.fetchval("SHOW transaction_timeout") == "0"
