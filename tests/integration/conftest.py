"""Fixtures for tests of the bus, and of approvals-svc beside its counterparts."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from em.sandbox.ci import CiSettings
from em.sandbox.gates import GithubSettings
from em.sandbox.server import Sandbox, sandbox
from shared.contracts.services import APPROVALS_SVC
from tests.backends import own_database
from tests.line import open_line
from tests.office import APP_ID, CALLBACK_SECRET, Office, environment
from tests.provisioning import provisioned, removed
from tests.workbench import Workbench, open_workbench, prepare


@pytest.fixture
async def bench(nats_url: str, database_url: str, prefix: str) -> AsyncIterator[Workbench]:
    async with open_workbench(nats_url, database_url, prefix) as opened:
        await prepare(opened)
        yield opened


@pytest.fixture(scope="module")
def app_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
async def counterparts(app_key: rsa.RSAPrivateKey) -> AsyncIterator[Sandbox]:
    public = app_key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    async with sandbox(
        github_settings=GithubSettings(app_id=APP_ID, public_key=public.decode()),
        ci_settings=CiSettings(callback_secret=CALLBACK_SECRET),
    ) as running:
        yield running


@pytest.fixture(scope="module")
async def replicas(
    nats_url: str,
    postgres_url: str,
    counterparts: Sandbox,
    app_key: rsa.RSAPrivateKey,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[list[Office]]:
    """Two processes on one schema and one durable."""
    prefix = f"t{uuid4().hex[:10]}"
    await provisioned(nats_url, prefix)
    async with AsyncExitStack() as stack:
        control = await stack.enter_async_context(httpx.AsyncClient(base_url=counterparts.control_url))
        database = await stack.enter_async_context(own_database(postgres_url))
        lines = [
            await stack.enter_async_context(
                open_line(
                    nats_url=nats_url,
                    database_url=database,
                    prefix=prefix,
                    directory=(directory := tmp_path_factory.mktemp("approvals")),
                    environment=environment(directory, counterparts, app_key),
                )
            )
            for _ in range(2)
        ]
        for line in lines:
            await line.start(APPROVALS_SVC)
        yield [Office(line, counterparts.github_url, control) for line in lines]
    await removed(nats_url, prefix)


@pytest.fixture
async def office(replicas: list[Office]) -> Office:
    await replicas[0].forget()
    return replicas[0]
