"""HTTP calls of effects: bounded in time and size, and every answer says what follows for the effect."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from approvals_svc.tasks import GivenUp, Unknown

TOTAL_TIMEOUT_S = 10.0
BODY_MAX_BYTES = 1024 * 1024
RATE_LIMIT_WAIT_MAX_S = 3600.0
NUMBER_MAX_DIGITS = 12


class CallFailed(Exception):
    """A call that did not do what it should; `outcome` says what follows from it, `status` is 0 without an answer."""

    def __init__(self, outcome: Unknown | GivenUp, *, status: int = 0) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome
        self.status = status


class Answer(msgspec.Struct, frozen=True):
    """A 2xx."""

    status: int
    headers: httpx.Headers
    body: bytes


def open_client(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """Follows nothing, and takes no proxy from the environment."""
    return httpx.AsyncClient(
        follow_redirects=False,
        trust_env=False,
        timeout=TOTAL_TIMEOUT_S,
        transport=transport,
        headers={"User-Agent": "em-agent-approvals"},
    )


async def call(
    client: httpx.AsyncClient, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None
) -> Answer:
    """`url` is built from settings, never taken from outside. Raises CallFailed for everything but 2xx."""
    try:
        async with (
            asyncio.timeout(TOTAL_TIMEOUT_S),
            client.stream(method, url, content=body, headers=dict(headers)) as stream,
        ):
            answer = Answer(stream.status_code, stream.headers, await _bounded(stream))
    except httpx.InvalidURL:
        raise CallFailed(GivenUp("no URL that can be requested")) from None
    except (httpx.HTTPError, TimeoutError) as error:
        raise CallFailed(Unknown(f"no answer: {type(error).__name__}")) from None
    if problem := meaning(answer.status, answer.headers):
        raise CallFailed(problem, status=answer.status)
    return answer


def read(answer: Answer, kind: Any) -> Any:
    """Raises CallFailed."""
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.MsgspecError as error:
        raise CallFailed(Unknown(f"unreadable answer: {error}")) from None


def meaning(status: int, headers: httpx.Headers) -> Unknown | GivenUp | None:
    """What an answer other than 2xx means for the effect."""
    if 200 <= status < 300:
        return None
    if _is_limited(status, headers):
        return Unknown(f"{status}: rate limited", after_s=_retry_after_s(headers))
    if status >= 500 or status in (401, 408):
        return Unknown(f"answer {status}")
    return GivenUp(f"answer {status}")


def unseen(problem: CallFailed) -> CallFailed:
    """A refused look tells nothing of what may have been done: that stays unknown."""
    if not isinstance(problem.outcome, GivenUp):
        return problem
    refused = f"the outcome can't be looked up: {problem.outcome.reason}"
    return CallFailed(Unknown(refused), status=problem.status)


async def _bounded(stream: httpx.Response) -> bytes:
    body = b""
    async for chunk in stream.aiter_bytes():
        body += chunk
        if len(body) > BODY_MAX_BYTES:
            raise CallFailed(Unknown("the answer is larger than 1 MiB"))
    return body


def _is_limited(status: int, headers: httpx.Headers) -> bool:
    """GitHub's primary limit is a 403 (or 429) that leaves nothing, its secondary one names when to come again."""
    spent = "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0"
    return status == 429 or (status == 403 and spent)


def _retry_after_s(headers: httpx.Headers) -> float | None:
    """Seconds from `retry-after`, else until `x-ratelimit-reset` (epoch seconds); at most an hour."""
    wait_s = _number(headers.get("retry-after", ""))
    reset_at = _number(headers.get("x-ratelimit-reset", ""))
    if wait_s is None and reset_at is not None:
        wait_s = max(0.0, reset_at - time.time())
    return None if wait_s is None else min(wait_s, RATE_LIMIT_WAIT_MAX_S)


def _number(written: str) -> float | None:
    return float(written) if written.isascii() and written.isdigit() and len(written) <= NUMBER_MAX_DIGITS else None
