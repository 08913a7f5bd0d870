"""The connection pool of one service: its role, its schema, its limits on time."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import unquote, urlsplit

import asyncpg

from shared.contracts.services import Service
from shared.db import Connection
from shared.db.url import normalise
from shared.settings import DatabaseSettings, InvalidConfiguration
from shared.settings.base import read_secret_file
from shared.telemetry import logs

log = logs.get(__name__)

CONNECT_TIMEOUT_S = 5
COMMAND_TIMEOUT_S = 30
STATEMENT_TIMEOUT_MS = 20_000
LOCK_TIMEOUT_MS = 5_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 30_000
TRANSACTION_TIMEOUT_MS = 40_000  # more than a handler may take
TRANSACTION_TIMEOUT_SINCE = 17  # PostgreSQL's major version
DURABLE_SETTINGS = ("fsync", "full_page_writes", "synchronous_commit")

# Errors that are nobody's fault: the same work succeeds when the database is back or the other one is done.
INFRASTRUCTURE_ERRORS = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.SerializationError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TransactionTimeoutError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.UndefinedTableError,
    OSError,
    TimeoutError,
)


class ForgetfulDatabase(InvalidConfiguration):
    """The server acknowledges commits that a power cut would undo."""


@asynccontextmanager
async def open_pool(settings: DatabaseSettings, service: Service) -> AsyncIterator[asyncpg.Pool]:
    """A pool that acts as the service's role in its schema; also while the database is away.

    `<SERVICE>_DATABASE_URL` connects as that role itself; with `DATABASE_URL` alone the role is set on each
    connection, which isolates mistakes but not an attacker. Raises ForgetfulDatabase, here or where a connection is
    made later.
    """
    own = own_url(service)
    pool = await asyncpg.create_pool(
        own or normalise(settings.database_url),
        password=partial(_password, service) if own else None,
        min_size=0,
        max_size=settings.db_pool_size + settings.db_max_overflow,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        server_settings=server_settings(service),
        init=_prepare,
        reset=_reset,
    )
    try:
        await _look(pool)
        yield pool
    finally:
        await pool.close()


async def _look(pool: asyncpg.Pool) -> None:
    try:
        await pool.fetchval("SELECT 1")
    except INFRASTRUCTURE_ERRORS as error:
        log.warning("database.away", error=repr(error))


async def _prepare(connection: Connection) -> None:
    await _require_durability(connection)
    if limit := _limit(connection):
        await connection.execute(limit)


async def _reset(connection: Connection) -> None:
    """A reset undoes what was set on the connection."""
    await connection.execute(f"{connection.get_reset_query()}\n{_limit(connection)}")


async def allow_time(tx: Connection) -> None:
    """This transaction may take as long as its statements do."""
    if _knows_limit(tx):
        await tx.execute("SET LOCAL transaction_timeout = 0")


def _limit(connection: Connection) -> str:
    """Ends a transaction that takes too long, whatever its process does.

    A process that is stopped between two messages of one statement is not idle, and no statement of its runs: only
    this limit lets go of what it locked. PostgreSQL 15 and 16 have none; there it holds its locks until it wakes or
    dies.
    """
    return f"SET transaction_timeout = {TRANSACTION_TIMEOUT_MS}" if _knows_limit(connection) else ""


def _knows_limit(connection: Connection) -> bool:
    return connection.get_server_version().major >= TRANSACTION_TIMEOUT_SINCE


async def _require_durability(connection: Connection) -> None:
    """PostgreSQL's part of law 1: each of these three, switched off, lost what it had acknowledged."""
    rows = await connection.fetch(
        "SELECT name FROM pg_settings WHERE name = ANY($1) AND setting = 'off' ORDER BY name", DURABLE_SETTINGS
    )
    if rows:
        raise ForgetfulDatabase(f"PostgreSQL runs with {', '.join(f'{row[0]}=off' for row in rows)}: switch it on")


def server_settings(service: Service) -> dict[str, str]:
    return {
        "role": service.name,
        "application_name": f"em-{service.folder}",
        "timezone": "UTC",
        **role_settings(service),
    }


def role_settings(service: Service) -> dict[str, str]:
    """What holds for whoever connects as this role; bootstrap pins it there. Times in milliseconds."""
    return {
        "search_path": f"{service.schema},extensions",
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
