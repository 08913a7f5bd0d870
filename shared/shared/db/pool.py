"""The connection pool of one service: its role, its schema, its limits on time."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from shared.contracts.services import Service
from shared.db.url import normalise
from shared.settings import DatabaseSettings

COMMAND_TIMEOUT_S = 30
STATEMENT_TIMEOUT_MS = 20_000
LOCK_TIMEOUT_MS = 5_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 30_000

# Errors that are nobody's fault: the same work succeeds when the database is back or the other one is done.
INFRASTRUCTURE_ERRORS = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.UndefinedTableError,
    OSError,
    TimeoutError,
)


@asynccontextmanager
async def open_pool(settings: DatabaseSettings, service: Service) -> AsyncIterator[asyncpg.Pool]:
    """A pool that acts as the service's role in its schema.

    `<SERVICE>_DATABASE_URL` connects as that role itself; with `DATABASE_URL` alone the role is set on each
    connection, which isolates mistakes but not an attacker.
    """
    pool = await asyncpg.create_pool(
        _url(settings, service),
        min_size=1,
        max_size=settings.db_pool_size + settings.db_max_overflow,
        command_timeout=COMMAND_TIMEOUT_S,
        server_settings=server_settings(service),
    )
    try:
        yield pool
    finally:
        await pool.close()


def server_settings(service: Service) -> dict[str, str]:
    return {
        "role": service.name,
        "search_path": f"{service.schema},extensions",
        "application_name": f"em-{service.folder}",
        "timezone": "UTC",
        "statement_timeout": str(STATEMENT_TIMEOUT_MS),
        "lock_timeout": str(LOCK_TIMEOUT_MS),
        "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_TIMEOUT_MS),
    }


def _url(settings: DatabaseSettings, service: Service) -> str:
    variable = f"{service.variable}_DATABASE_URL"
    own = os.environ.get(variable)
    return normalise(own, variable=variable) if own else normalise(settings.database_url)
