"""The edge under more than it can take, and under load without its broker: the ledger of what it accepted."""

import asyncio
import hashlib
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from em.sandbox.sender import github_headers
from shared.bus import browse
from shared.bus.connection import open_operator
from shared.contracts.ids import delivery_message_id
from shared.contracts.services import INGEST
from shared.settings import ServiceSettings
from tests.integration.test_edge import ANSWERS_WITHIN_S, edge_with
from tests.line import GITHUB_SECRET, Line
from tests.waiting import until

RATE_PER_S = 200
SENDERS = 96
OVERLOAD = 3
RECOVERS_WITHIN_S = 5.0


class Sent(msgspec.Struct, frozen=True):
    delivery: str
    status: int
    took_s: float


async def send_at_rate(line: Line, seconds: float, prefix: str) -> list[Sent]:
    """Open loop: each delivery leaves at its time on a connection of its own, however long the others take."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        tasks = []
        for number in range(int(seconds * RATE_PER_S)):
            await asyncio.sleep(max(0.0, began + number / RATE_PER_S - loop.time()))
            tasks.append(group.create_task(send(line, f"{prefix}-{number}")))
    return [task.result() for task in tasks]


async def send(line: Line, delivery: str) -> Sent:
    began = time.monotonic()
    reader, writer = await connect(line)
    status = await exchange(reader, writer, delivery)
    writer.close()
    return Sent(delivery, status, time.monotonic() - began)


async def connect(line: Line) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(line.url(INGEST).rsplit(":", 1)[1]))


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delivery: str) -> int:
    """One request on a connection that stays open; returns the status."""
    body = body_of(delivery)
    lines = [f"{k}: {v}" for k, v in github_headers(GITHUB_SECRET, "push", delivery, body).items()]
    head = ["POST /webhooks/github HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *lines]
    writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
    told = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in told.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    await reader.readexactly(int(length.partition(b":")[2]))
    return int(told[9:12])


def body_of(delivery: str) -> bytes:
    return b'{"delivery":"%b","text":"%b"}' % (delivery.encode(), b"x" * 500)


def message_id(delivery: str) -> str:
    sha256 = hashlib.sha256(body_of(delivery)).hexdigest()
    return delivery_message_id(source="github", delivery=delivery, sha256=sha256)


async def require_each_stored_once(line: Line, accepted: list[str]) -> None:
    """What was accepted is in RAW; nothing is there twice, nor what was never sent."""
    wanted = {message_id(delivery) for delivery in accepted}

    async def is_there() -> bool:
        return await line.messages("RAW") >= len(wanted)

    await until(is_there, timeout_s=60, what=f"{len(wanted)} messages are not in RAW")
    async with open_operator(ServiceSettings(nats_url=line.nats_url, nats_prefix=line.subjects.prefix)) as bus:
        stored = await browse.message_ids(bus, "RAW", since=datetime.now(UTC) - timedelta(hours=1))
        assert wanted <= stored
        assert (await bus.js.stream_info(line.subjects.stream("RAW"))).state.messages == len(stored)


async def test_law_1_broker_stopped_under_load_every_delivery_is_accepted_and_stored_once(
    tmp_path: Path, scale: int
) -> None:
    """Stopped for 4 s, 60 s at full scale, under 200 deliveries a second."""
    away_s = 4 if scale == 1 else 60
    async with edge_with(tmp_path) as (line, broker):
        sending = asyncio.create_task(send_at_rate(line, away_s + 4, "load"))
        await asyncio.sleep(2)
        await broker.stop()
        await asyncio.sleep(away_s)
        await broker.start()
        sent = await sending

        assert {each.status for each in sent} == {202}
        assert max(each.took_s for each in sent) <= ANSWERS_WITHIN_S
        await require_each_stored_once(line, [each.delivery for each in sent])


async def flood(line: Line, until_: float, sender: int, answers: Counter[int], accepted: list[str]) -> None:
    """Closed loop on one connection: who is refused asks again at once."""
    reader, writer = await connect(line)
    number = 0
    while time.monotonic() < until_:
        number += 1
        delivery = f"flood-{sender}-{number}"
        status = await exchange(reader, writer, delivery)
        answers[status] += 1
        if status == 202:
            accepted.append(delivery)
    writer.close()


async def test_more_than_it_can_take_is_refused_and_what_it_took_is_kept(tmp_path: Path, scale: int) -> None:
    """At least three times what it takes, for 3 s, 30 s at full scale; five seconds later all is as before."""
    seconds = 3 if scale == 1 else 30
    async with edge_with(tmp_path, IN_FLIGHT_MAX_REQUESTS="16", SOURCE_RATE_PER_S="100000") as (line, _):
        answers: Counter[int] = Counter()
        accepted: list[str] = []
        end = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for sender in range(SENDERS):
                group.create_task(flood(line, end, sender, answers, accepted))

        async def takes() -> bool:
            sent = [await send(line, f"after-{number}-{time.monotonic_ns()}") for number in range(20)]
            accepted.extend(each.delivery for each in sent if each.status == 202)
            return all(each.status == 202 and each.took_s < 1 for each in sent)

        await until(takes, timeout_s=RECOVERS_WITHIN_S, what="it did not recover")

        assert {*answers} <= {202, 429, 503}
        assert answers.total() >= OVERLOAD * answers[202], "it was not overloaded"
        await require_each_stored_once(line, accepted)
