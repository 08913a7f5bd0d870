"""SIGTERM and kill -9 of each service once in mid-traffic: nothing is lost, nothing is doubled."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from shared.contracts.services import SERVICES
from tests.e2e.conftest import Theatre
from tests.e2e.test_line import settled, slice_of

DELIVERIES = 900


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_service_that_ends_in_mid_traffic_loses_and_doubles_nothing(theatre: Theatre, how: str) -> None:
    deliveries = slice_of(theatre.story, DELIVERIES)
    await theatre.start_all()

    traffic = asyncio.create_task(theatre.send(deliveries, at_once=4))
    for service in SERVICES:
        await asyncio.sleep(0.3)
        server = theatre.line.servers[service.name]
        end: Callable[[], Awaitable[None]] = getattr(server, how)
        assert not traffic.done(), "the traffic ended before every service did: the run proves nothing"
        await end()
        await server.start()
    await traffic
    await settled(theatre)

    rows = await theatre.line.fetch("SELECT source, delivery FROM normalizer.delivery")
    assert sorted((row["source"], row["delivery"]) for row in rows) == sorted(
        (delivery.source, delivery.delivery_id) for delivery in deliveries
    )
    await _nothing_doubled(theatre)


async def _nothing_doubled(theatre: Theatre) -> None:
    line = theatre.line
    counts = await theatre.control("/slack/counts")
    assert isinstance(counts, dict)
    posted = await line.fetch("SELECT count(*) AS things FROM notifier.thing WHERE ts IS NOT NULL")
    assert counts["duplicates"] == 0
    assert counts["posts"] == posted[0]["things"]
    gates = await line.fetch("SELECT external_key FROM approvals.approval")
    assert len(gates) == len({row["external_key"] for row in gates}) == len(theatre.story.gates)


async def test_sigterm_ends_every_service_with_exit_code_zero(theatre: Theatre) -> None:
    await theatre.start_all()

    for service in SERVICES:
        await theatre.line.servers[service.name].stop()

    assert {name: server.exit_code for name, server in theatre.line.servers.items()} == {s.name: 0 for s in SERVICES}
