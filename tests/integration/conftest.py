"""Fixtures for tests of the bus."""

from collections.abc import AsyncIterator

import pytest

from tests.workbench import Workbench, open_workbench, prepare


@pytest.fixture
async def bench(nats_url: str, database_url: str, prefix: str) -> AsyncIterator[Workbench]:
    async with open_workbench(nats_url, database_url, prefix) as opened:
        await prepare(opened)
        yield opened
