"""Sending the story: signatures that verify, answers counted once, and patience with a busy ingest."""

import hashlib
import hmac
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from em.demo.send import Sent, send, signed
from em.demo.story import Delivery, tell

SECRETS = {source: f"for-{source}" for source in ("github", "pagerduty", "slack", "argocd", "heroku")}


class Ingest:
    """Answers as ingest does: each id is accepted once; the first ``busy`` requests are asked to come again."""

    def __init__(self, *, busy: int = 0, lose_answers: bool = False) -> None:
        self.busy = busy
        self.lose_answers = lose_answers
        self.seen: Counter[str] = Counter()

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        key = request.headers.get("X-GitHub-Delivery") or hashlib.sha256(body).hexdigest()
        if self.busy:
            self.busy -= 1
            self.seen[key] += self.lose_answers
            return web.Response(status=503, headers={"Retry-After": "0"})
        if b"challenge" in body:
            return web.json_response({"challenge": msgspec.json.decode(body)["challenge"]})
        self.seen[key] += 1
        return web.json_response({"status": "duplicate" if self.seen[key] > 1 else "accepted"}, status=202)


@pytest.fixture(scope="module")
def deliveries() -> tuple[Delivery, ...]:
    return tell(3, datetime(2026, 3, 2, 9, 0, tzinfo=UTC)).deliveries[:60]


@pytest.fixture
async def door(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    app = web.Application(client_max_size=2**22)
    app.router.add_post("/webhooks/{source}", request.param.receive)
    async with TestServer(app) as server:
        yield str(server.make_url("/"))


async def _send(door: str, deliveries: list[Delivery]) -> Sent:
    return await send(deliveries, ingest_url=door, secrets=SECRETS, concurrency=4, progress=lambda _: None)


@pytest.mark.parametrize("door", [Ingest()], indirect=True)
async def test_every_answer_is_counted_once(door: str, deliveries: tuple[Delivery, ...]) -> None:
    sent = await _send(door, [*deliveries, *deliveries[10:20]])

    handshakes = sum(d.expect == "handshake" for d in deliveries)
    assert handshakes == sent.handshakes > 0
    assert (sent.sent, sent.accepted, sent.duplicate, sent.rejected) == (70, 60, 10, 0)


@pytest.mark.parametrize("door", [Ingest(busy=5)], indirect=True)
async def test_a_busy_ingest_is_asked_again(door: str, deliveries: tuple[Delivery, ...]) -> None:
    sent = await _send(door, list(deliveries))

    assert (sent.sent, sent.accepted, sent.rejected, sent.retries) == (60, 60, 0, 5)


@pytest.mark.parametrize("door", [Ingest(busy=3, lose_answers=True)], indirect=True)
async def test_a_delivery_that_repeats_only_itself_counts_as_accepted(
    door: str, deliveries: tuple[Delivery, ...]
) -> None:
    only_github = [d for d in deliveries if d.source == "github"]

    sent = await _send(door, only_github)

    assert (sent.accepted, sent.duplicate) == (len(only_github), 0)


@pytest.mark.parametrize("door", [Ingest(busy=10_000)], indirect=True)
async def test_patience_ends(door: str, deliveries: tuple[Delivery, ...]) -> None:
    sent = await _send(door, list(deliveries[:3]))

    assert (sent.sent, sent.accepted, sent.rejected) == (3, 0, 3)
    assert sent.refusals == {"503": 3}


def test_the_signature_covers_the_exact_bytes(deliveries: tuple[Delivery, ...]) -> None:
    delivery = next(d for d in deliveries if d.source == "github")

    headers = signed(delivery, SECRETS["github"])

    digest = hmac.new(b"for-github", delivery.body, hashlib.sha256).hexdigest()
    assert headers["X-Hub-Signature-256"] == f"sha256={digest}"
    assert headers["X-GitHub-Delivery"] == delivery.delivery_id
    assert headers["X-GitHub-Event"] == delivery.event
