"""What ingest answers, and how an answer is sent."""

import asyncio
import math
from collections.abc import Mapping

from starlette.types import Receive, Send

from ingest.limits import RateExceeded
from ingest.source import MIB, Answer
from shared.http import problems

RETRY_AFTER_S = 5
OVERLOAD_RETRY_AFTER_S = 1
LINGER_S = 1.0
LINGER_MAX_BYTES = 8 * MIB

Reply = tuple[Answer, dict[str, str]]

UNKNOWN_SOURCE = (404, "unknown-source", "no such source is enabled here")
NOT_AUTHENTICATED = (401, "not-authenticated", "the delivery proves no origin")


def problem(status: int, kind: str, detail: str = "", *, headers: dict[str, str] | None = None) -> Reply:
    body = problems.body(status, kind, detail)
    return Answer(status=status, body=body, content_type=problems.MEDIA_TYPE), headers or {}


def may_send() -> Reply:
    """CloudEvents, "HTTP 1.1 Web Hooks for Event Delivery", section 4.2: whoever holds the token may."""
    return Answer(status=200), {"Allow": "POST", "WebHook-Allowed-Origin": "*", "WebHook-Allowed-Rate": "*"}


def not_on_disk() -> Reply:
    return problem(503, "not-on-disk", "try again", headers={"Retry-After": str(RETRY_AFTER_S)})


def overloaded() -> Reply:
    return problem(503, "overloaded", "try again", headers={"Retry-After": str(OVERLOAD_RETRY_AFTER_S)})


def rate_exceeded(error: RateExceeded) -> Reply:
    wait_s = str(max(1, math.ceil(error.retry_after_s)))
    headers = {
        "Retry-After": wait_s,
        "X-RateLimit-Limit": f"{error.limit:g}",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": wait_s,
    }
    return problem(429, "rate-exceeded", "this source sends more than SOURCE_RATE_PER_S", headers=headers)


def cut_off(status: int, kind: str, detail: str) -> Reply:
    """Whoever we stop reading from must not send the rest into the next request."""
    return problem(status, kind, detail, headers={"Connection": "close"})


async def send_reply(send: Send, receive: Receive, reply: Reply, request_id: str) -> None:
    answer, headers = reply
    lingers = "Connection" in headers
    await send({"type": "http.response.start", "status": answer.status, "headers": _raw(answer, headers, request_id)})
    await send({"type": "http.response.body", "body": answer.body, "more_body": lingers})
    if lingers:
        await _linger(receive)
        await send({"type": "http.response.body"})


def _raw(answer: Answer, headers: Mapping[str, str], request_id: str) -> list[tuple[bytes, bytes]]:
    raw = [
        (b"content-length", b"%d" % len(answer.body)),
        (b"x-request-id", request_id.encode()),
    ]
    if answer.body:
        raw.append((b"content-type", answer.content_type.encode()))
    raw.extend([(name.lower().encode(), value.encode()) for name, value in headers.items()])
    return raw


async def _linger(receive: Receive) -> None:
    """Closing while the sender still writes resets the connection, and the answer is lost on its way to it."""
    left = LINGER_MAX_BYTES
    try:
        async with asyncio.timeout(LINGER_S):
            while left > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))
    except TimeoutError:
        return
