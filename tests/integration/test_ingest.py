"""ingest over real HTTP and a real broker: what is accepted, what is refused, what leaves a trace."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import ANY
from urllib.parse import urlsplit

import pytest

from em.sandbox.sender import github_headers, pagerduty_headers, slack_click, slack_command, slack_request
from shared.contracts.ids import body_delivery_id
from shared.contracts.services import INGEST
from tests.line import GITHUB_SECRET, PAGERDUTY_SECRET, SLACK_SECRET, Line, open_line
from tests.provisioning import provisioned, removed

BODY = b'{"zen":"Keep it logically awesome.","repository":{"full_name":"acme/checkout"}}'


@pytest.fixture(scope="module")
async def edge(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Line]:
    """One ingest for all tests of this file; none of them depends on what the others sent."""
    await provisioned(nats_url, "edge")
    async with open_line(
        nats_url=nats_url,
        database_url="",
        prefix="edge",
        directory=tmp_path_factory.mktemp("edge"),
        environment={"BODY_DEADLINE_S": "1", "INTEGRATIONS_PAGERDUTY_ENABLED": "true", "MAX_PAYLOAD_BYTES": "65536"},
    ) as line:
        await line.start(INGEST)
        yield line
    await removed(nats_url, "edge")


async def stored(line: Line) -> int:
    return await line.messages("RAW")


async def test_signed_delivery_is_stored_with_its_exact_bytes(edge: Line) -> None:
    body = b'{"odd":  "spacing \xc3\xa9"}\n'

    answer = await edge.send_github("push", body, delivery="exact-1")

    assert answer.status_code == 202
    assert answer.json() == {"status": "accepted", "delivery": "exact-1"}
    async with edge.broker() as connection:
        message = await connection.jetstream().get_last_msg(edge.subjects.stream("RAW"), "edge.raw.github.push")
    headers = message.headers or {}
    assert message.data == body
    assert headers["Em-Sha256"] == hashlib.sha256(body).hexdigest()
    assert (headers["Em-Source"], headers["Em-Event"], headers["Em-Origin"]) == ("github", "push", "live")


async def test_second_delivery_of_the_same_id_and_bytes_is_a_duplicate(edge: Line) -> None:
    await edge.send_github("push", BODY, delivery="twice-1")
    before = await stored(edge)

    answer = await edge.send_github("push", BODY, delivery="twice-1")

    assert (answer.status_code, answer.json()["status"]) == (202, "duplicate")
    assert await stored(edge) == before


async def test_same_id_with_other_bytes_is_kept_apart(edge: Line) -> None:
    await edge.send_github("push", BODY, delivery="apart-1")
    before = await stored(edge)

    answer = await edge.send_github("push", BODY + b" ", delivery="apart-1")

    assert answer.json()["status"] == "accepted"
    assert await stored(edge) == before + 1


async def test_delivery_without_a_usable_id_is_known_by_its_hash(edge: Line) -> None:
    for unusable in ("", "has space", "x" * 201):
        body = BODY + unusable.encode()

        answer = await edge.send_github("push", body, delivery=unusable)

        assert answer.json()["delivery"] == body_delivery_id("github", body)


HOSTILE_SIGNATURES = {
    "missing": None,
    "empty": b"",
    "truncated": lambda good: good[:-1],
    "upper case": lambda good: b"sha256=" + good[7:].upper(),
    "without prefix": lambda good: good[7:],
    "sha1 prefix": lambda good: b"sha1=" + good[7:],
    "one bit flipped": lambda good: good[:-1] + (b"0" if good[-1:] != b"0" else b"1"),
    "non-ASCII": lambda good: good[:-2] + b"\xff\xfe",
    "full-width digits": lambda good: b"sha256=" + "１".encode() * 64,
    "another secret": lambda _: github_headers("wrong", "push", "d", BODY)["X-Hub-Signature-256"].encode(),
    "another body": lambda _: github_headers(GITHUB_SECRET, "push", "d", b"{}")["X-Hub-Signature-256"].encode(),
    "trailing space inside": lambda good: good[:-1] + b" " + good[-1:],
}


@pytest.mark.parametrize("forgery", HOSTILE_SIGNATURES)
async def test_delivery_with_a_bad_signature_is_401_and_leaves_no_trace(edge: Line, forgery: str) -> None:
    before = await stored(edge)
    headers = [(k.encode(), v.encode()) for k, v in github_headers(GITHUB_SECRET, "push", "forged", BODY).items()]
    good = next(value for name, value in headers if name == b"X-Hub-Signature-256")
    make = HOSTILE_SIGNATURES[forgery]
    kept = [(name, value) for name, value in headers if name != b"X-Hub-Signature-256"]
    if make is not None:
        kept.append((b"X-Hub-Signature-256", make(good) if callable(make) else make))

    answer = await edge.http.post(edge.url(INGEST, "/webhooks/github"), content=BODY, headers=kept)

    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert await stored(edge) == before


async def test_two_different_signature_headers_are_401(edge: Line) -> None:
    good = github_headers(GITHUB_SECRET, "push", "doubled", BODY)
    headers = [*good.items(), ("X-Hub-Signature-256", "sha256=" + "0" * 64)]

    answer = await edge.http.post(edge.url(INGEST, "/webhooks/github"), content=BODY, headers=headers)

    assert answer.status_code == 401


async def test_every_401_has_the_same_body(edge: Line) -> None:
    answers = [
        await edge.post("github", BODY, {}),
        await edge.post("slack", BODY, slack_request(SLACK_SECRET, BODY, time.time() - 301)),
        await edge.post("pagerduty", BODY, {"X-PagerDuty-Signature": "v1=zz"}),
    ]

    bodies = [{k: v for k, v in answer.json().items() if k != "request_id"} for answer in answers]
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert bodies[0] == bodies[1] == bodies[2]


@pytest.mark.parametrize(("age_s", "status"), [(299, 200), (-290, 200), (302, 401), (-310, 401)])
async def test_slack_request_is_taken_only_within_five_minutes(edge: Line, age_s: int, status: int) -> None:
    body = slack_command(f"help {age_s}", user="U1", channel="C1")

    answer = await edge.send_slack(body, now=time.time() - age_s)

    assert answer.status_code == status


@pytest.mark.parametrize("timestamp", ["abc", "1.0", "+1", "-1", "", "1" * 40, "１"])
async def test_slack_timestamp_that_is_no_plain_number_is_401(edge: Line, timestamp: str) -> None:
    body = slack_command("help", user="U1", channel="C1")
    headers = {**slack_request(SLACK_SECRET, body), "X-Slack-Request-Timestamp": timestamp}

    raw = [(k.encode(), v.encode("utf-8")) for k, v in headers.items()]
    answer = await edge.http.post(edge.url(INGEST, "/webhooks/slack"), content=body, headers=raw)

    assert answer.status_code == 401


async def test_slack_challenge_is_echoed_and_not_stored(edge: Line) -> None:
    body = b'{"type":"url_verification","challenge":"c-42"}'
    before = await stored(edge)

    answer = await edge.send_slack(body)
    forged = await edge.post("slack", body, {})

    assert (answer.status_code, answer.json()) == (200, {"challenge": "c-42"})
    assert forged.status_code == 401
    assert await stored(edge) == before


async def test_slack_click_is_stored_with_what_it_takes_to_verify_it_again(edge: Line) -> None:
    message = {"ts": "1.2", "blocks": [{"type": "actions", "elements": [_button("approve", "approve:1:1")]}]}
    body = slack_click(message, "approve", user="U1", channel="C1")
    signed = slack_request(SLACK_SECRET, body)

    answer = await edge.post("slack", body, signed)

    assert (answer.status_code, answer.content) == (200, b"")
    async with edge.broker() as connection:
        stored_click = await connection.jetstream().get_last_msg(
            edge.subjects.stream("RAW"), "edge.raw.slack.block_actions"
        )
    headers = stored_click.headers or {}
    assert stored_click.data == body
    assert headers["Em-Signature"] == signed["X-Slack-Signature"]
    assert headers["Em-Signature-Timestamp"] == signed["X-Slack-Request-Timestamp"]


def _button(action_id: str, value: str) -> dict[str, object]:
    text = {"type": "plain_text", "text": "Approve"}
    return {"type": "button", "action_id": action_id, "block_id": "b", "value": value, "text": text}


async def test_pagerduty_delivery_passes_while_its_secret_is_rotated(edge: Line) -> None:
    body = json.dumps({"event": {"id": "E1", "event_type": "incident.triggered"}}).encode()
    headers = pagerduty_headers(f"retired,{PAGERDUTY_SECRET}", body, "hook-1")

    answer = await edge.post("pagerduty", body, headers)

    assert answer.json() == {"status": "accepted", "delivery": "hook-1"}


async def test_unknown_and_disabled_sources_get_the_same_404(nats_url: str, prefix: str, tmp_path: Path) -> None:
    async with open_line(
        nats_url=nats_url,
        database_url="",
        prefix=prefix,
        directory=tmp_path,
        environment={"INTEGRATIONS_PAGERDUTY_ENABLED": "false"},
    ) as line:
        await line.start(INGEST)

        answers = [
            await line.post("nosuch", BODY, {}),
            await line.send_pagerduty(BODY),
            await line.post("x%2Fy", BODY, {}),
        ]

        assert [answer.status_code for answer in answers] == [404, 404, 404]
        assert len({answer.json()["detail"] for answer in answers}) == 1


async def test_get_on_a_webhook_is_405_and_names_what_is_allowed(edge: Line) -> None:
    answer = await edge.http.get(edge.url(INGEST, "/webhooks/github"))

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_compressed_body_is_415(edge: Line) -> None:
    headers = {**github_headers(GITHUB_SECRET, "push", "gz", BODY), "Content-Encoding": "gzip"}

    answer = await edge.post("github", BODY, headers)

    assert answer.status_code == 415


# ---- below HTTP's surface: what clients of ours would refuse to send ------------------------------------------------


async def raw_request(line: Line, text: bytes, *, half_close: bool = False) -> tuple[int, float]:
    """Status of the first answer, and how long it took."""
    url = urlsplit(line.url(INGEST))
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    started = time.monotonic()
    writer.write(text)
    await writer.drain()
    status_line = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    return int(status_line.split()[1]), time.monotonic() - started


def head(*lines: bytes, source: str = "github") -> bytes:
    signed = github_headers(GITHUB_SECRET, "push", "raw", BODY)
    request = f"POST /webhooks/{source} HTTP/1.1".encode()
    fixed = [request, b"Host: x", *(f"{k}: {v}".encode() for k, v in signed.items())]
    return b"\r\n".join([*fixed, *lines]) + b"\r\n\r\n"


async def test_body_over_the_cap_is_413_before_it_is_read(edge: Line) -> None:
    before = await stored(edge)

    status, seconds = await raw_request(edge, head(b"Content-Length: 99000000"))

    assert status == 413
    assert seconds < 0.9  # nothing of the body was sent, and the body's deadline (1 s) was not waited for
    assert await stored(edge) == before


async def test_chunked_body_over_the_cap_is_413(edge: Line) -> None:
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"

    status, _ = await raw_request(edge, head(b"Transfer-Encoding: chunked", source="pagerduty") + chunk * 20)

    assert status == 413


@pytest.mark.parametrize(
    "lengths",
    [
        (f"Content-Length: {len(BODY) + 10}".encode(),),
        (b"Content-Length: 10",),
        (b"Content-Length: -1",),
        (b"Content-Length: 1e3",),
        (f"Content-Length: {len(BODY)}".encode(), b"Content-Length: 7"),
        (f"Content-Length: {len(BODY)}".encode(), b"Transfer-Encoding: chunked"),
    ],
)
async def test_lying_content_length_is_400_and_leaves_no_trace(edge: Line, lengths: tuple[bytes, ...]) -> None:
    before = await stored(edge)

    status, _ = await raw_request(edge, head(*lengths) + BODY)

    assert status == 400
    assert await stored(edge) == before


async def test_health_names_the_variable_of_a_source_without_a_secret(
    nats_url: str, prefix: str, tmp_path: Path
) -> None:
    async with open_line(
        nats_url=nats_url,
        database_url="",
        prefix=prefix,
        directory=tmp_path,
        environment={"GITHUB_WEBHOOK_SECRET": "", "INTEGRATIONS_GITHUB_ENABLED": "true"},
    ) as line:
        await line.start(INGEST)

        refused = await line.send_github("push", BODY)
        health = (await line.http.get(line.url(INGEST, "/health"))).json()

        assert refused.status_code == 401
        assert health["integrations"]["github"] == {
            "enabled": True,
            "configured": False,
            "secret": "GITHUB_WEBHOOK_SECRET",
            "last": {"accepted_at": None, "refused_at": ANY, "refused_because": "signature: no match"},
        }
        assert '"variable":"GITHUB_WEBHOOK_SECRET"' in line.log(INGEST)


async def test_without_its_stream_ingest_answers_503_with_retry_after(line: Line) -> None:
    await line.start(INGEST)
    async with line.broker() as connection:
        await connection.jetstream().delete_stream(line.subjects.stream("RAW"))

    answer = await line.send_github("push", BODY)

    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"


async def test_slack_command_that_is_not_on_disk_says_that_nobody_knows(line: Line) -> None:
    await line.start(INGEST)
    async with line.broker() as connection:
        await connection.jetstream().delete_stream(line.subjects.stream("RAW"))

    answer = await line.send_slack(slack_command("approve 1", user="U1", channel="C1"))

    assert answer.status_code == 200
    assert "not known" in answer.json()["text"]
