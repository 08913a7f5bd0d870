"""Reading a request body within its cap and its deadline: the server itself has neither.

Unreadable
├── TooLarge         over the cap, told before it is read where Content-Length says so
├── Encoded          compressed or otherwise encoded
└── (Unreadable)     lengths that contradict each other, or a body that is shorter than said or comes too slowly
"""

import asyncio
import re

from starlette.types import Receive

from ingest.headers import Headers

GRACE_S = 2.0
RATE_MIN_BYTES_PER_S = 1024
LENGTH = re.compile(rb"[0-9]{1,18}")


class Unreadable(Exception):
    """The request can't be read as HTTP means it."""


class TooLarge(Unreadable): ...


class Encoded(Unreadable): ...


def declared_length(headers: Headers) -> int | None:
    """None where the body comes in chunks. Raises Unreadable."""
    if not headers.has("content-length"):
        return None
    if headers.has("transfer-encoding"):
        raise Unreadable("Content-Length and Transfer-Encoding together")
    length = headers.single("content-length")
    if not LENGTH.fullmatch(length):
        raise Unreadable("Content-Length is not a number")
    return int(length)


async def read_body(
    headers: Headers, receive: Receive, *, max_bytes: int, deadline_s: float, is_here: bool = False
) -> bytes:
    """The exact bytes. Raises Unreadable, TooLarge or Encoded. `is_here`: it came whole, nothing is waited for."""
    declared = declared_length(headers)
    if declared is not None and declared > max_bytes:
        raise TooLarge(f"{declared} bytes declared, {max_bytes} taken")
    if headers.has("content-encoding") and headers.single("content-encoding").lower() != b"identity":
        raise Encoded("content-encoding")
    if is_here:
        return await _read(receive, max_bytes, None)
    try:
        async with asyncio.timeout(deadline_s) as deadline:
            return await _read(receive, max_bytes, deadline)
    except TimeoutError:
        raise Unreadable(f"the body did not arrive within {deadline_s:g} s, or slower than 1 KiB/s") from None


async def _read(receive: Receive, max_bytes: int, deadline: asyncio.Timeout | None) -> bytes:
    chunks: list[bytes] = []
    size = 0
    began = asyncio.get_running_loop().time()
    last = (deadline.when() if deadline else None) or began
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Unreadable("the sender went away")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise TooLarge(f"more than {max_bytes} bytes")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)
        if deadline:
            deadline.reschedule(min(last, began + GRACE_S + size / RATE_MIN_BYTES_PER_S))
