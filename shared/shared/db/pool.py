"""The connection pool of one service: its role, its schema, its limits on time."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import unquote, urlsplit

import asyncpg

from shared.contracts.services import Service
from shared.db.url import normalise
from shared.settings import DatabaseSettings
from shared.settings.base import read_secret_file

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
    own = own_url(service)
    pool = await asyncpg.create_pool(
        own or normalise(settings.database_url),
        password=partial(_password, service) if own else None,
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


def own_url(service: Service) -> str:
    """`<SERVICE>_DATABASE_URL`, or what the file of `<SERVICE>_DATABASE_URL_FILE` holds now; empty for neither."""
    variable = f"{service.variable}_DATABASE_URL"
    path = os.environ.get(f"{variable}_FILE")
    own = os.environ.get(variable) or (read_secret_file(f"{variable}_FILE", path) if path else "")
    return normalise(own, variable=variable) if own else ""


def _password(service: Service) -> str:
    """Asked for at each new connection, so that a rotated one needs no restart."""
    return unquote(urlsplit(own_url(service)).password or "")
