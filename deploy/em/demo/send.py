"""Sends deliveries to ingest over HTTP, signed as each platform signs, at full speed."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import assert_never

import aiohttp
import msgspec

from em.demo.facts import Delivery
from em.sandbox import sender
from em.sandbox.signing import sign
from ingest.schemes import Token
from ingest.sources import argocd, heroku

TRIES_MAX = 8
RETRY_AFTER_DEFAULT_S = 0.5
RETRY_AFTER_MAX_S = 5.0
REQUEST_TIMEOUT_S = 30.0
TRY_AGAIN = (429, 503)
HTTP_ERROR = "no answer"
# Of reports only those of a CI's runs are signed: a script of one's own has a token.
SCHEMES = {"argocd": argocd.SOURCE.scheme, "heroku": heroku.SOURCE.scheme, "report": Token()}


@dataclass(kw_only=True, slots=True)
class Sent:
    """Requests by final answer: sent = accepted + duplicate + rejected; ``handshakes`` are among the accepted.

    ``refusals`` counts the rejected by status; ``retries`` counts tries that were asked to come again.
    """

    sent: int = 0
    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    handshakes: int = 0
    retries: int = 0
    seconds: float = 0.0
    refusals: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Sent") -> "Sent":
        return Sent(
            sent=self.sent + other.sent,
            accepted=self.accepted + other.accepted,
            duplicate=self.duplicate + other.duplicate,
            rejected=self.rejected + other.rejected,
            handshakes=self.handshakes + other.handshakes,
            retries=self.retries + other.retries,
            seconds=self.seconds + other.seconds,
            refusals=self.refusals + other.refusals,
        )


class _Answer(msgspec.Struct):
    status: str = ""


async def send(
    deliveries: Iterable[Delivery],
    *,
    ingest_url: str,
    secrets: Mapping[str, str],
    concurrency: int,
    progress: Callable[[Sent], None],
) -> Sent:
    """Send all; ``secrets`` by source. Requests start in the given order, ``concurrency`` at a time."""
    tally, began = _Tally(), time.monotonic()
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    connector = aiohttp.TCPConnector(limit=concurrency)
    waiting = iter(deliveries)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as client:
        line = _Line(client, ingest_url.rstrip("/"), secrets, tally, progress)
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(line.work(waiting))
    tally.settle()
    tally.sent.seconds = time.monotonic() - began
    return tally.sent


@dataclass(frozen=True, slots=True)
class _Line:
    client: aiohttp.ClientSession
    ingest_url: str
    secrets: Mapping[str, str]
    tally: "_Tally"
    progress: Callable[[Sent], None]

    async def work(self, waiting: Iterator[Delivery]) -> None:
        for delivery in waiting:
            await self._deliver(delivery)
            self.progress(self.tally.sent)

    async def _deliver(self, delivery: Delivery) -> None:
        """Try until there is an answer that is final; each try is signed afresh."""
        answer = HTTP_ERROR
        for tries in range(1, TRIES_MAX + 1):
            wait_s = RETRY_AFTER_DEFAULT_S
            try:
                async with self._post(delivery) as response:
                    if response.status not in TRY_AGAIN:
                        body = await response.read()
                        self.tally.count(delivery, response.status, body, tries=tries)
                        return
                    answer, wait_s = str(response.status), _retry_after_s(response)
            except (aiohttp.ClientError, TimeoutError) as error:
                answer = type(error).__name__
            if tries < TRIES_MAX:
                self.tally.sent.retries += 1
                await asyncio.sleep(wait_s)
        self.tally.refuse(answer)

    def _post(self, delivery: Delivery) -> "aiohttp.client._RequestContextManager":
        url = f"{self.ingest_url}/webhooks/{delivery.source}"
        return self.client.post(url, data=delivery.body, headers=signed(delivery, self.secrets[delivery.source]))


class _Tally:
    """Counts answers. A retried delivery may be told ``duplicate`` of its own first try: settled at the end."""

    def __init__(self) -> None:
        self.sent = Sent()
        self._accepted: set[tuple[str, str]] = set()
        self._own_repeats: list[tuple[str, str]] = []

    def count(self, delivery: Delivery, status: int, body: bytes, *, tries: int) -> None:
        key = (delivery.source, delivery.delivery_id)
        if status not in (200, 202):
            self.refuse(str(status))
            return
        self.sent.sent += 1
        if delivery.expect == "handshake":
            self.sent.accepted += 1
            self.sent.handshakes += 1
        elif _status(body) == "duplicate":
            self.sent.duplicate += 1
            if tries > 1:
                self._own_repeats.append(key)
        else:
            self.sent.accepted += 1
            self._accepted.add(key)

    def refuse(self, answer: str) -> None:
        self.sent.sent += 1
        self.sent.rejected += 1
        self.sent.refusals[answer] += 1

    def settle(self) -> None:
        for key in self._own_repeats:
            if key not in self._accepted:
                self._accepted.add(key)
                self.sent.duplicate -= 1
                self.sent.accepted += 1


def signed(delivery: Delivery, secret: str) -> dict[str, str]:
    """The delivery's own headers and the signature of its platform, made now."""
    match delivery.source:
        case "github":
            proof = sender.github_headers(secret, delivery.event, delivery.delivery_id, delivery.body)
        case "pagerduty":
            proof = sender.pagerduty_headers(secret, delivery.body, delivery.delivery_id)
        case "slack":
            content_type = delivery.headers["Content-Type"]
            proof = sender.slack_request(secret, delivery.body, content_type=content_type)
        case "argocd" | "heroku" | "report":
            proof = sign(SCHEMES[delivery.source], delivery.body, secret)
        case _:
            assert_never(delivery.source)
    return proof | delivery.headers


def _status(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Answer).status
    except msgspec.MsgspecError:
        return ""


def _retry_after_s(response: aiohttp.ClientResponse) -> float:
    told = response.headers.get("Retry-After", "")
    return min(float(told), RETRY_AFTER_MAX_S) if told.isdecimal() else RETRY_AFTER_DEFAULT_S
