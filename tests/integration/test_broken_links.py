"""Links that are there and carry nothing: noticed in seconds, healed, and nothing is lost or doubled (N-06)."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import urlsplit

import asyncpg
import pytest

from shared.bus import open_bus
from shared.contracts.services import METRICS_SVC
from shared.settings import ServiceSettings
from shared.telemetry import metrics
from tests.proxy import Proxy, proxy_to
from tests.waiting import until
from tests.workbench import Workbench, record

NOTICED_WITHIN_S = 11.0  # two ping intervals and a second


class Linked:
    """A workbench whose links go through proxies, and one that publishes directly."""

    def __init__(self, bench: Workbench, nats: Proxy, database: Proxy, direct: Workbench) -> None:
        self.bench = bench
        self.nats = nats
        self.database = database
        self.direct = direct


@pytest.fixture
async def linked(nats_url: str, database_url: str, prefix: str, bench: Workbench) -> AsyncIterator[Linked]:
    async with AsyncExitStack() as stack:
        nats, database = urlsplit(nats_url), urlsplit(database_url)
        to_nats = await stack.enter_async_context(proxy_to(nats.hostname or "", nats.port or 0))
        to_database = await stack.enter_async_context(proxy_to(database.hostname or "", database.port or 0))
        url = database_url.replace(f":{database.port}/", f":{to_database.port}/")
        pool = await stack.enter_async_context(
            asyncpg.create_pool(url, min_size=0, max_size=4, command_timeout=3, timeout=3)
        )
        settings = ServiceSettings(nats_url=f"nats://127.0.0.1:{to_nats.port}", nats_prefix=prefix)
        bus = await stack.enter_async_context(open_bus(settings, METRICS_SVC))
        yield Linked(Workbench(bus, pool), to_nats, to_database, bench)


def reconnects() -> float:
    [samples] = [metric.samples for metric in metrics.nats_reconnects.collect()]
    return next(sample.value for sample in samples if sample.name.endswith("_total"))


async def test_N06_half_open_link_to_nats_is_noticed_and_healed(linked: Linked) -> None:
    names = [f"i{n}" for n in range(200)]
    before = reconnects()
    async with linked.bench.consuming(record):
        await linked.direct.publish(*names[:100])
        await until(lambda: linked.direct.has_effects(names[:100]), timeout_s=20, what="not handled")

        assert await linked.bench.bus.problem() is None
        linked.nats.swallows = True
        began = time.monotonic()

        async def is_noticed() -> bool:
            return await linked.bench.bus.problem() == "not connected to NATS"

        await until(is_noticed, timeout_s=NOTICED_WITHIN_S, what="nobody noticed")
        noticed_s = time.monotonic() - began
        linked.nats.swallows = False
        await linked.direct.publish(*names[100:])
        await until(lambda: linked.direct.has_effects(names), timeout_s=30, what="it was not healed")
        await linked.direct.idle()

        assert noticed_s < NOTICED_WITHIN_S
        assert reconnects() > before
        assert await linked.bench.bus.problem() is None
    assert await linked.direct.dead() == []


async def test_N06_half_open_link_to_the_database_charges_nobody(linked: Linked) -> None:
    names = [f"i{n}" for n in range(100)]
    async with linked.bench.consuming(record) as consumer:
        await linked.direct.publish(*names[:50])
        await until(lambda: linked.direct.has_effects(names[:50]), timeout_s=20, what="not handled")

        linked.database.swallows = True
        await linked.direct.publish(*names[50:])

        async def is_noticed() -> bool:
            return await consumer.problem() is not None

        await until(is_noticed, timeout_s=NOTICED_WITHIN_S, what="nobody noticed")
        linked.database.swallows = False
        await until(lambda: linked.direct.has_effects(names), timeout_s=40, what="it was not healed")
        await linked.direct.idle()

        assert await linked.direct.pool.fetchval("SELECT count(*) FROM attempt") == 0
    assert await linked.direct.dead() == []


async def test_links_that_are_cut_again_and_again_lose_and_double_nothing(linked: Linked) -> None:
    names = [f"i{n}" for n in range(300)]
    async with linked.bench.consuming(record):
        for first in range(0, 300, 30):
            await linked.direct.publish(*names[first : first + 30])
            (linked.nats if first % 60 else linked.database).cut()
        await until(lambda: linked.direct.has_effects(names), timeout_s=60, what="not all was handled")
    assert await linked.direct.dead() == []
