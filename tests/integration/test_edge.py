"""The edge when something is in its way: the broker is gone, senders are slow, hostile, or too many."""

import asyncio
import hashlib
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from em.embedded import embedded_nats
from em.embedded.server import Server
from em.sandbox.sender import github_headers, slack_command
from shared.contracts.services import INGEST, NORMALIZER
from tests.line import GITHUB_SECRET, Line, open_line
from tests.provisioning import provisioned, removed
from tests.waiting import until

ANSWERS_WITHIN_S = 9.0


@asynccontextmanager
async def edge_with(directory: Path, **environment: str) -> AsyncIterator[tuple[Line, Server]]:
    """An ingest with a spool and a broker of its own, which the test may stop."""
    (directory / "nats").mkdir()
    async with (
        embedded_nats(directory / "nats") as broker,
        open_line(
            nats_url=broker.url,
            database_url="",
            prefix="edge",
            directory=directory,
            environment={"SPOOL_DIR": str(directory / "spool"), **environment},
        ) as line,
    ):
        await provisioned(broker.url, "edge")
        await line.start(INGEST)
        yield line, broker


def body_of(number: int) -> bytes:
    return b'{"number":%d,"text":"%s"}' % (number, os.urandom(500).hex().encode())


async def send_many(line: Line, bodies: dict[str, bytes]) -> dict[str, httpx.Response]:
    sending = [line.send_github("push", body, delivery=delivery) for delivery, body in bodies.items()]
    return dict(zip(bodies, await asyncio.gather(*sending), strict=True))


async def raw_messages(line: Line) -> list[Any]:
    async with line.broker() as connection:
        js = connection.jetstream()
        info = await js.stream_info(line.subjects.stream("RAW"))
        return [await js.get_msg(line.subjects.stream("RAW"), n) for n in range(1, info.state.last_seq + 1)]


async def until_stored(line: Line, count: int) -> list[Any]:
    async def there() -> bool:
        return await line.messages("RAW") >= count

    await until(there, timeout_s=30, what=f"{count} messages were not in RAW")
    return await raw_messages(line)


def health(answer: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()
    return found


async def test_law_1_what_is_accepted_while_the_broker_is_away_is_kept_once_even_through_kill_9(
    tmp_path: Path,
) -> None:
    async with edge_with(tmp_path) as (line, broker):
        await broker.stop()
        first = {f"first-{n}": body_of(n) for n in range(40)}
        second = {f"second-{n}": body_of(n) for n in range(40)}

        began = time.monotonic()
        held = await send_many(line, first)
        took_s = time.monotonic() - began
        at_once = await send_many(line, second)
        state = health(await line.http.get(line.url(INGEST, "/health")))
        await line.servers[INGEST.name].kill()
        await line.start(INGEST)  # also with the broker away
        await broker.start()
        messages = await until_stored(line, 80)

        assert {answer.status_code for answer in (*held.values(), *at_once.values())} == {202}
        assert took_s < ANSWERS_WITHIN_S
        assert max(answer.elapsed.total_seconds() for answer in at_once.values()) < 2
        assert (state["mode"], state["spool"]["records"]) == ("spooling", 80)
        stored = {message.headers["Em-Delivery"]: message for message in messages}
        assert len(messages) == len(stored) == 80
        for delivery, body in (first | second).items():
            assert stored[delivery].data == body
            assert stored[delivery].headers["Em-Origin"] == "spool"


async def test_new_deliveries_go_to_the_broker_as_soon_as_it_is_back(tmp_path: Path) -> None:
    async with edge_with(tmp_path) as (line, broker):
        await broker.stop()
        await line.send_github("push", body_of(1), delivery="held")
        await broker.start()
        await until_stored(line, 1)

        await line.send_github("push", body_of(2), delivery="new")
        messages = await raw_messages(line)

        assert [message.headers["Em-Origin"] for message in messages] == ["spool", "live"]
        assert health(await line.http.get(line.url(INGEST, "/health")))["mode"] == "durable"


async def test_a_broker_that_hangs_is_like_one_that_is_gone(tmp_path: Path) -> None:
    async with edge_with(tmp_path) as (line, broker):
        assert broker.pid
        os.kill(broker.pid, signal.SIGSTOP)
        bodies = {f"hang-{n}": body_of(n) for n in range(20)}

        began = time.monotonic()
        answers = await send_many(line, bodies)
        took_s = time.monotonic() - began
        os.kill(broker.pid, signal.SIGCONT)
        messages = await until_stored(line, 20)

        assert {answer.status_code for answer in answers.values()} == {202}
        assert took_s < ANSWERS_WITHIN_S
        assert sorted(message.headers["Em-Delivery"] for message in messages) == sorted(bodies)


async def test_a_persons_command_is_never_spooled_and_is_told_that_nothing_is_known(tmp_path: Path) -> None:
    async with edge_with(tmp_path) as (line, broker):
        await broker.stop()

        answer = await line.send_slack(slack_command("dora", user="U1", channel="C1"))
        state = health(await line.http.get(line.url(INGEST, "/health")))

        assert answer.status_code == 200
        assert "not known" in answer.json()["text"]
        assert state["spool"]["records"] == 0


async def test_a_full_spool_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    async with edge_with(tmp_path, SPOOL_MAX_BYTES=str(1024 * 1024)) as (line, broker):
        await broker.stop()
        large = {f"large-{n}": os.urandom(300_000) for n in range(8)}

        answers = await send_many(line, large)
        ready = await line.http.get(line.url(INGEST, "/ready"))
        await broker.start()
        kept = [delivery for delivery, answer in answers.items() if answer.status_code == 202]
        messages = await until_stored(line, len(kept))

        refused = [answer for answer in answers.values() if answer.status_code != 202]
        assert len(kept) == 3
        assert {answer.status_code for answer in refused} == {503}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in refused)
        assert ready.status_code == 503
        assert sorted(message.headers["Em-Delivery"] for message in messages) == sorted(kept)


async def test_a_spool_has_one_process(tmp_path: Path) -> None:
    async with edge_with(tmp_path) as (line, _):
        first = line.servers[INGEST.name].program
        second = await asyncio.create_subprocess_exec(
            *first.argv, env={**first.env, "INGEST_PORT": "0"}, stderr=asyncio.subprocess.PIPE
        )
        _, error = await second.communicate()

        assert second.returncode == 78
        assert b"in use by another process" in error


async def test_a_body_of_megabytes_arrives_whole_and_closes_nothing(line: Line) -> None:
    await line.start(INGEST, NORMALIZER)
    bodies = {f"size-{size}": os.urandom(size) for size in (524_287, 524_288, 524_289, 1_048_576, 6_000_000)}

    answers = await send_many(line, bodies)
    await line.settled()

    assert {answer.status_code for answer in answers.values()} == {202}
    rows = await line.fetch(
        "SELECT delivery, sha256, bytes, body FROM normalizer.delivery JOIN normalizer.body "
        "ON body.delivery_id = delivery.id"
    )
    assert {row["delivery"]: row["body"] for row in rows} == bodies
    assert {row["bytes"] for row in rows} == {len(body) for body in bodies.values()}


async def test_a_large_body_survives_the_spool(tmp_path: Path) -> None:
    async with edge_with(tmp_path) as (line, broker):
        body = os.urandom(3_000_000)
        await broker.stop()
        answer = await line.send_github("push", body, delivery="large")
        await broker.start()
        [message] = await until_stored(line, 1)

        assert answer.status_code == 202
        assert message.data in (b"", None)
        assert message.headers["Em-Sha256"] == hashlib.sha256(body).hexdigest()
        async with line.broker() as connection:
            store = await connection.jetstream().object_store("EDGE_BODIES")
            assert (await store.get(message.headers["Em-Object"])).data == body


async def test_a_body_that_is_gone_is_a_dead_delivery_and_stops_nobody(line: Line) -> None:
    await line.start(INGEST)
    await line.send_github("push", os.urandom(600_000), delivery="gone")
    async with line.broker() as connection:
        await connection.jetstream().purge_stream(line.subjects.bodies_stream)
    await line.send_github("ping", b'{"zen":"z","hook_id":1}', delivery="small")

    await line.start(NORMALIZER)
    await line.settled()

    rows = await line.fetch("SELECT delivery, disposition, reason FROM normalizer.delivery ORDER BY delivery")
    assert [(row["delivery"], row["disposition"]) for row in rows] == [("gone", "dead"), ("small", "ignored")]
    assert "not in" in rows[0]["reason"]


async def test_more_than_the_rate_of_a_source_is_429_and_says_when(tmp_path: Path) -> None:
    async with edge_with(tmp_path, SOURCE_RATE_PER_S="1") as (line, _):
        answers = await send_many(line, {f"rate-{n}": body_of(n) for n in range(15)})
        forged = await line.post("github", b"{}", github_headers("wrong", "push", "x", b"{}"))

        refused = [answer for answer in answers.values() if answer.status_code == 429]
        assert 1 <= len(refused) <= 5  # ten at once, and one more for each second that sending took
        assert {"retry-after", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} <= set(
            refused[0].headers
        )
        assert refused[0].headers["content-type"] == "application/problem+json"
        assert forged.status_code == 401  # who proves no origin does not use up the source's rate


async def test_more_requests_than_fit_are_refused_at_once_and_none_is_lost(tmp_path: Path) -> None:
    async with edge_with(tmp_path, IN_FLIGHT_MAX_REQUESTS="8") as (line, broker):
        assert broker.pid
        os.kill(broker.pid, signal.SIGSTOP)
        bodies = {f"over-{n}": body_of(n) for n in range(40)}
        answers = await send_many(line, bodies)
        os.kill(broker.pid, signal.SIGCONT)
        kept = [delivery for delivery, answer in answers.items() if answer.status_code == 202]
        messages = await until_stored(line, len(kept))

        refused = [answer for answer in answers.values() if answer.status_code != 202]
        assert refused
        assert {answer.status_code for answer in refused} == {503}
        assert all("retry-after" in answer.headers for answer in refused)
        assert max(answer.elapsed.total_seconds() for answer in refused) < 2
        assert sorted(message.headers["Em-Delivery"] for message in messages) == sorted(kept)
        again = await line.send_github("push", body_of(99), delivery="after")
        assert again.status_code == 202


@pytest.fixture(scope="module")
async def open_edge(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Line]:
    await provisioned(nats_url, "drip")
    async with open_line(
        nats_url=nats_url,
        database_url="",
        prefix="drip",
        directory=tmp_path_factory.mktemp("drip"),
        environment={"INTEGRATIONS_PAGERDUTY_ENABLED": "true"},
    ) as line:
        await line.start(INGEST)
        yield line
    await removed(nats_url, "drip")


async def converse(line: Line, *parts: bytes, every_s: float = 0.0) -> bytes:
    """What comes back until the server closes, at most ten seconds."""
    port = int(line.url(INGEST).rsplit(":", 1)[1])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def speak() -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(every_s)

    speaking = asyncio.create_task(speak())
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        speaking.cancel()
        await asyncio.wait([speaking])
        writer.close()


def request(*lines: str, body: bytes = b"{}", path: str = "/webhooks/github") -> bytes:
    signed = github_headers(GITHUB_SECRET, "push", "raw", body)
    head = [f"POST {path} HTTP/1.1", "Host: x", *(f"{name}: {value}" for name, value in signed.items()), *lines]
    return "\r\n".join(head).encode() + b"\r\n\r\n"


async def test_headers_that_come_byte_by_byte_are_not_waited_for(open_edge: Line) -> None:
    began = time.monotonic()

    answer = await converse(open_edge, *(bytes([byte]) for byte in request("Content-Length: 2")), every_s=0.1)

    assert answer.startswith(b"HTTP/1.1 408")
    assert time.monotonic() - began < 7


async def test_an_idle_connection_is_closed_without_a_word(open_edge: Line) -> None:
    assert await converse(open_edge, b"") == b""


async def test_a_body_slower_than_a_kibibyte_a_second_is_not_waited_for(open_edge: Line) -> None:
    began = time.monotonic()

    answer = await converse(open_edge, request("Content-Length: 5000"), *([b"x"] * 100), every_s=0.1)

    assert answer.startswith(b"HTTP/1.1 400")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("path", ["/webhooks/github", "/health"])
@pytest.mark.parametrize(
    "lines",
    [
        ("Content-Length: 2", "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", "Content-Length: 2"),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked, identity", "Content-Length: 2"),
        ("Content-Length: 2", "X-Folded: a\r\n b"),
        ("Content-Length: 2", "X-Nul: a\x00b"),
        ("Content-Length : 2",),
    ],
)
async def test_smuggled_request_is_refused_and_its_tail_is_no_request(
    open_edge: Line, lines: tuple[str, ...], path: str
) -> None:
    before = await open_edge.messages("RAW")
    tail = b"0\r\n\r\nGET /live HTTP/1.1\r\nHost: x\r\n\r\n"

    answer = await converse(open_edge, request(*lines, path=path) + tail)

    assert answer.split(b"\r\n", 1)[0].split()[1].startswith(b"4")
    assert answer.count(b"HTTP/1.1") == 1
    assert await open_edge.messages("RAW") == before


async def test_bare_line_feeds_are_no_ends_of_lines(open_edge: Line) -> None:
    answer = await converse(open_edge, b"GET /live HTTP/1.1\nHost: x\n\n")

    assert answer[9:12] == b"400"


@pytest.mark.parametrize("size", [17_000, 65_000])
async def test_headers_larger_than_16_kib_are_431(open_edge: Line, size: int) -> None:
    answer = await converse(open_edge, request("Content-Length: 2", f"X-Large: {'x' * size}") + b"{}")

    assert answer[9:12] == b"431"


async def test_refusal_reaches_a_client_that_goes_on_sending(open_edge: Line) -> None:
    answer = await converse(open_edge, b"GET /live HTTP/1.1\r\nX: ", b"x" * 3_000_000)

    assert answer[9:12] == b"431"


async def test_header_values_of_any_bytes_stop_nothing(open_edge: Line) -> None:
    body = b'{"any":"header"}'
    headers = [(k.encode(), v.encode()) for k, v in github_headers(GITHUB_SECRET, "push", "any-1", body).items()]
    for name in (b"Content-Type", b"X-Request-ID", b"traceparent", b"X-Odd"):
        headers.append((name, "ünï\u00ff".encode("latin-1")))

    answer = await open_edge.http.post(open_edge.url(INGEST, "/webhooks/github"), content=body, headers=headers)

    assert answer.status_code == 202
    assert answer.headers["x-request-id"]
