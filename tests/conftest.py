"""Fixtures: real servers. Backends in this order: NATS_URL / DATABASE_URL, embedded, testcontainers, skip."""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import hypothesis
import pytest

from shared.db.migrate import bootstrap, migrate
from shared.telemetry import logs, tracing
from tests.backends import (
    TEMPLATE,
    database_of,
    execute,
    in_memory,
    own_database,
    start_nats,
    start_postgres,
)
from tests.line import Line, open_line
from tests.provisioning import provisioned, removed
from tests.shipping import CATALOG, write_catalog

# The same examples in every run, so that a red run is the change's; `SCALE=full` looks for new ones.
hypothesis.settings.register_profile("steady", derandomize=True)
if os.environ.get("SCALE") != "full":
    hypothesis.settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--corpus", type=Path, default=None, help="folder with the webhook corpus")


@pytest.fixture(scope="session", autouse=True)
def _telemetry() -> None:
    logs.configure(service="tests", version="0", log_format="text", level="warning")
    tracing.configure(service="tests", version="0", endpoint="")


@pytest.fixture(scope="session", autouse=True)
def _own_environment() -> None:
    """What a developer exported for a stack of theirs must not reach the services under test."""
    for name in list(os.environ):
        if name.endswith(("_WEBHOOK_SECRET", "_SIGNING_SECRET", "_PORT", "_ENABLED")) or name in ("ENV", "DEMO"):
            del os.environ[name]


@pytest.fixture(scope="session")
def corpus(request: pytest.FixtureRequest) -> Path:
    path: Path | None = request.config.getoption("--corpus")
    if path is None:
        pytest.skip("the webhook corpus is not here: name it by --corpus PATH")
    return path


@pytest.fixture(scope="session")
def scale() -> int:
    """1 in `make test`; `SCALE=full` multiplies what a test repeats."""
    return 20 if os.environ.get("SCALE") == "full" else 1


@pytest.fixture(scope="session")
async def nats_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with AsyncExitStack() as stack:
        yield await start_nats(stack, tmp_path_factory.mktemp("nats"))


@pytest.fixture(scope="session")
async def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """A superuser's URL on a database named `em`, with a migrated template beside it."""
    async with AsyncExitStack() as stack:
        url = await start_postgres(stack, stack.enter_context(in_memory()) or tmp_path_factory.mktemp("pg"))
        await execute(url, f"DROP DATABASE IF EXISTS {TEMPLATE}", f"CREATE DATABASE {TEMPLATE}")
        await bootstrap(database_of(url, TEMPLATE), progress=_quiet)
        await migrate(database_of(url, TEMPLATE), progress=_quiet)
        yield url


@pytest.fixture
async def database_url(postgres_url: str) -> AsyncIterator[str]:
    """A database of the test's own, migrated."""
    async with own_database(postgres_url) as url:
        yield url


@pytest.fixture
async def prefix(nats_url: str) -> AsyncIterator[str]:
    """A NATS_PREFIX of the test's own, provisioned; its streams go with the test."""
    name = f"t{uuid4().hex[:10]}"
    await provisioned(nats_url, name)
    yield name
    await removed(nats_url, name)


def _quiet(_: str) -> None: ...


@pytest.fixture
async def line(nats_url: str, database_url: str, prefix: str, tmp_path: Path) -> AsyncIterator[Line]:
    """The five services, none of them started yet."""
    async with open_line(
        nats_url=nats_url, database_url=database_url, prefix=prefix, directory=tmp_path, environment={}
    ) as opened:
        yield opened


@pytest.fixture
async def shop(nats_url: str, database_url: str, prefix: str, tmp_path: Path) -> AsyncIterator[Line]:
    """The five services with the catalog of `tests.shipping` in `catalog.yaml` of their directory."""
    path = write_catalog(tmp_path / "catalog.yaml", CATALOG)
    async with open_line(
        nats_url=nats_url,
        database_url=database_url,
        prefix=prefix,
        directory=tmp_path,
        environment={"CATALOG_PATH": str(path)},
    ) as opened:
        yield opened
