"""Reading a body: what no HTTP server in front is relied on for."""

import asyncio

import pytest
from starlette.types import Message, Receive

from ingest.headers import Headers
from ingest.reading import Encoded, TooLarge, Unreadable, read_body


def sender(*chunks: bytes, then: str = "") -> Receive:
    """What a server hands on: the chunks, and then the end, a `disconnect`, or `silence`."""
    messages: list[Message] = [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    messages.append({"type": "http.disconnect"} if then == "disconnect" else {"type": "http.request", "body": b""})
    waiting = iter(messages[:-1] if then == "silence" else messages)

    async def receive() -> Message:
        if message := next(waiting, None):
            return message
        await asyncio.Event().wait()
        raise AssertionError

    return receive


async def read(receive: Receive, **headers: str) -> bytes:
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return await read_body(Headers(raw), receive, max_bytes=10, deadline_s=0.05)


async def test_chunks_are_joined_byte_for_byte() -> None:
    assert await read(sender(b"a\x00", b"\xff")) == b"a\x00\xff"


async def test_body_of_exactly_the_cap_is_taken_and_one_byte_more_is_not() -> None:
    assert await read(sender(b"x" * 10)) == b"x" * 10
    with pytest.raises(TooLarge):
        await read(sender(b"x" * 10, b"x"))


async def test_declared_length_over_the_cap_is_refused_before_anything_is_read() -> None:
    with pytest.raises(TooLarge):
        await read(sender(then="silence"), content_length="11")


async def test_length_and_transfer_encoding_together_are_refused() -> None:
    with pytest.raises(Unreadable):
        await read(sender(b"x"), content_length="1", transfer_encoding="chunked")


@pytest.mark.parametrize("length", ["-1", "1e3", "+1", "", "0x1", "1, 1"])
async def test_length_that_is_no_number_is_refused(length: str) -> None:
    with pytest.raises(Unreadable):
        await read(sender(b"x"), content_length=length)


async def test_body_that_stops_coming_is_refused_at_the_deadline() -> None:
    with pytest.raises(Unreadable, match="within"):
        await read(sender(b"x", then="silence"))


async def test_sender_that_goes_away_leaves_no_delivery() -> None:
    with pytest.raises(Unreadable, match="went away"):
        await read(sender(b"x", then="disconnect"))


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "gzip, identity"])
async def test_encoded_body_is_refused(encoding: str) -> None:
    with pytest.raises(Encoded):
        await read(sender(b"x"), content_encoding=encoding)


async def test_identity_encoding_is_no_encoding() -> None:
    assert await read(sender(b"x"), content_encoding="Identity") == b"x"
