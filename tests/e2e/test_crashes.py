"""SIGTERM and kill -9 of each service once in mid-traffic: nothing is lost, nothing is doubled."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from em.demo.facts import Delivery
from em.embedded.server import Server
from shared.contracts.services import SERVICES
from tests.e2e.conftest import Theatre
from tests.e2e.test_line import settled, slice_of
from tests.waiting import until

PORTION = 160


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_service_that_ends_in_mid_traffic_loses_and_doubles_nothing(theatre: Theatre, how: str) -> None:
    deliveries = slice_of(theatre.story, PORTION * len(SERVICES))
    await theatre.start_all()

    for number, service in enumerate(SERVICES):
        portion = deliveries[number * PORTION : (number + 1) * PORTION]
        await _end_in_the_middle_of(portion, theatre, theatre.line.servers[service.name], how)
    await settled(theatre)

    rows = await theatre.line.fetch("SELECT source, delivery FROM normalizer.delivery")
    assert sorted((row["source"], row["delivery"]) for row in rows) == sorted(
        (delivery.source, delivery.delivery_id) for delivery in deliveries
    )
    await _nothing_doubled(theatre)


async def _end_in_the_middle_of(portion: Sequence[Delivery], theatre: Theatre, server: Server, how: str) -> None:
    """The service ends when some of the portion was accepted and some was not; then it comes back."""
    before = await theatre.line.messages("RAW")
    traffic = asyncio.create_task(theatre.send(portion, at_once=3))
    await until(lambda: _grew(theatre, before), timeout_s=20, what="no traffic came")
    end: Callable[[], Awaitable[None]] = getattr(server, how)
    assert not traffic.done(), "the traffic ended before the service did: the run proves nothing"
    await end()
    await server.start()
    await traffic


async def _grew(theatre: Theatre, before: int) -> bool:
    return await theatre.line.messages("RAW") > before + 10


async def _nothing_doubled(theatre: Theatre) -> None:
    """By the truth of the counterparts, not by our own logs."""
    counts = await theatre.control("/slack/counts")
    assert isinstance(counts, dict)
    assert counts["duplicates"] == 0
    assert counts["posts"] == await theatre.line.count("notifier.message")
    gates = await theatre.line.fetch("SELECT external_key FROM approvals.approval")
    assert len(gates) == len({row["external_key"] for row in gates}) == len(theatre.story.gates)


async def test_sigterm_ends_every_service_with_exit_code_zero(theatre: Theatre) -> None:
    await theatre.start_all()

    await theatre.line.stop()

    assert {name: server.exit_code for name, server in theatre.line.servers.items()} == {s.name: 0 for s in SERVICES}
