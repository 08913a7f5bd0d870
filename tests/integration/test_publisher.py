"""Group commit: what waits together shares one atomic batch, and every failure of a batch is survived."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from em.embedded import embedded_nats
from shared.bus import Bus, PublishUnknown, open_bus
from shared.bus.acks import Ack
from shared.bus.errors import FrameTooLarge, PublishRefused
from shared.contracts.envelope import Outgoing
from shared.contracts.services import INGEST
from shared.settings import ServiceSettings
from shared.telemetry import metrics
from tests.provisioning import provisioned


@pytest.fixture
async def bus(nats_url: str, prefix: str) -> AsyncIterator[Bus]:
    async with open_bus(ServiceSettings(nats_url=nats_url, nats_prefix=prefix), INGEST) as opened:
        yield opened


def raw(bus: Bus, message_id: str, body: bytes = b"{}", event: str = "push") -> Outgoing:
    subject = bus.subjects.raw(source="github", event="push")
    return Outgoing(subject=subject, body=body, headers={"Nats-Msg-Id": message_id, "Em-Event": event})


async def publish_together(bus: Bus, *messages: Outgoing) -> list[Ack | BaseException]:
    publishing = [bus.publisher.publish(message, timeout_s=5) for message in messages]
    return await asyncio.gather(*publishing, return_exceptions=True)


async def stored(bus: Bus) -> int:
    return (await bus.js.stream_info(bus.subjects.stream("RAW"))).state.messages


def batches() -> float:
    [samples] = [m.samples for m in metrics.publish_batch.collect()]
    return next(sample.value for sample in samples if sample.name.endswith("_count"))


async def test_requests_that_wait_together_share_commits(bus: Bus) -> None:
    before = batches()

    acks = await publish_together(bus, *(raw(bus, f"m{n}", b"%d" % n) for n in range(200)))

    assert 1 <= batches() - before <= 3
    assert sorted(ack.seq for ack in acks if isinstance(ack, Ack)) == list(range(1, 201))
    for ack, n in zip(acks, range(200), strict=True):
        assert isinstance(ack, Ack)
        message = await bus.js.get_msg(bus.subjects.stream("RAW"), ack.seq)
        assert message.data == b"%d" % n


async def test_a_lone_request_is_no_batch(bus: Bus) -> None:
    before = batches()

    for n in range(10):
        await bus.publisher.publish(raw(bus, f"m{n}"), timeout_s=5)

    assert batches() == before
    assert await stored(bus) == 10


async def test_a_batch_with_ids_that_are_known_is_stored_all_the_same_and_once(bus: Bus) -> None:
    await bus.publisher.publish(raw(bus, "m3"), timeout_s=5)

    acks = await publish_together(bus, *(raw(bus, f"m{n}") for n in range(20)))

    assert [ack.duplicate for ack in acks if isinstance(ack, Ack)] == [n == 3 for n in range(20)]
    assert await stored(bus) == 20


async def test_one_id_twice_among_those_that_wait_is_stored_once(bus: Bus) -> None:
    acks = await publish_together(bus, *(raw(bus, f"m{n % 10}") for n in range(30)))

    assert sum(ack.duplicate for ack in acks if isinstance(ack, Ack)) == 20
    assert await stored(bus) == 10


async def test_a_full_stream_refuses_each_and_stores_none(bus: Bus) -> None:
    config = (await bus.js.stream_info(bus.subjects.stream("RAW"))).config
    config.max_bytes = 1
    await bus.js.update_stream(config)

    answers = await publish_together(bus, *(raw(bus, f"m{n}") for n in range(20)))

    assert all(isinstance(answer, PublishRefused) for answer in answers)
    assert await stored(bus) == 0


async def test_a_stream_that_takes_no_batches_gets_singles(bus: Bus) -> None:
    config = (await bus.js.stream_info(bus.subjects.stream("RAW"))).config
    config.allow_atomic = False
    await bus.js.update_stream(config)

    acks = await publish_together(bus, *(raw(bus, f"m{n}") for n in range(50)))

    assert all(isinstance(ack, Ack) for ack in acks)
    assert await stored(bus) == 50


async def test_without_a_stream_everybody_hears_no_at_once(bus: Bus) -> None:
    await bus.js.delete_stream(bus.subjects.stream("RAW"))

    async with asyncio.timeout(1):
        answers = await publish_together(bus, *(raw(bus, f"m{n}") for n in range(20)))

    assert all(isinstance(answer, PublishRefused) for answer in answers)


async def test_whoever_stops_waiting_takes_nobody_along(bus: Bus) -> None:
    publishing = [asyncio.create_task(bus.publisher.publish(raw(bus, f"m{n}"), timeout_s=5)) for n in range(20)]
    await asyncio.sleep(0)
    for task in publishing[::2]:
        task.cancel()

    answers = await asyncio.gather(*publishing, return_exceptions=True)

    assert sum(isinstance(answer, Ack) for answer in answers) == 10


@pytest.mark.parametrize("body_bytes", [1_048_576 + step for step in range(-2048 - 12_288, 2049, 512)])
async def test_no_size_of_a_body_closes_the_connection(bus: Bus, body_bytes: int) -> None:
    message = raw(bus, str(uuid4()), b"x" * body_bytes, event="ü" * 100)

    try:
        await bus.publisher.publish(message, timeout_s=5)
    except FrameTooLarge:
        assert body_bytes > bus.publisher.body_max_bytes

    assert not bus.connection.is_closed
    assert (await bus.publisher.publish(raw(bus, str(uuid4())), timeout_s=5)).seq


async def test_line_breaks_in_a_header_make_no_header_of_their_own(bus: Bus) -> None:
    ack = await bus.publisher.publish(raw(bus, "m", event="a\r\nEm-Forged: 1\nb"), timeout_s=5)

    headers = (await bus.js.get_msg(bus.subjects.stream("RAW"), ack.seq)).headers or {}
    assert headers["Em-Event"] == "a  Em-Forged: 1 b"
    assert "Em-Forged" not in headers


async def test_a_broker_killed_under_a_batch_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(embedded_nats(tmp_path))
        await provisioned(server.url, "kill")
        bus = await stack.enter_async_context(
            open_bus(ServiceSettings(nats_url=server.url, nats_prefix="kill"), INGEST)
        )

        async def publish(n: int) -> None:
            for _ in range(100):
                try:
                    await bus.publisher.publish(raw(bus, f"m{n}"), timeout_s=0.5)
                    return
                except (PublishUnknown, PublishRefused):
                    continue
            raise AssertionError(f"m{n} was never stored")

        publishing = [asyncio.create_task(publish(n)) for n in range(500)]
        await asyncio.sleep(0.01)
        await server.kill()
        await server.start()
        await asyncio.gather(*publishing)

        assert await stored(bus) == 500
