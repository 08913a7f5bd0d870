"""A proxy before PostgreSQL that knows statements: a test can act between any two of them."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Literal

READ_BYTES = 64 * 1024
STARTUP_WORDS = 3  # version 3.0; anything else before it asks for encryption or to cancel
SPACES = re.compile(r"\s+")

When = Literal["before", "after"]


class Steps:
    """A step is what a client sends up to where it waits for an answer, if statements are executed in it.

    Once armed it waits for the step whose SQL begins with `first`, then for one that begins with `at`, and calls `act`:
    before the server sees that step, or after the server has answered and before the client hears of it. From then on
    nothing passes any more, until `reset`.
    """

    def __init__(self, host: str, port: int) -> None:
        self._upstream = host, port
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.reset()

    def reset(self) -> None:
        self.acted_at = ""
        self._first, self._at, self._when = "", "", "before"
        self._act: Callable[[], None] = lambda: None
        self._on_one_link = False
        self._began_on: _Link | None = None
        self._is_shut = False

    def arm(self, *, first: str, at: str, on_one_link: bool, when: When, act: Callable[[], None]) -> None:
        """`on_one_link`: both on the same connection."""
        self._first, self._at, self._on_one_link, self._when, self._act = first, at, on_one_link, when, act

    def cut(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        self._writers |= {writer, up_writer}
        link = _Link()
        await asyncio.gather(self._forth(link, reader, up_writer), self._back(link, up_reader, writer))
        self._writers -= {writer, up_writer}

    async def _forth(self, link: "_Link", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(READ_BYTES):
                for step, sql in link.steps(data):
                    if self._is_reached(link, sql):
                        self.acted_at = sql
                        if self._when == "before":
                            self._end()
                        else:
                            link.ends_with_answer = True
                    if not self._is_shut:
                        writer.write(step)
                await writer.drain()
        except OSError:
            pass
        writer.transport.abort()

    async def _back(self, link: "_Link", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(READ_BYTES):
                if link.ends_with_answer:
                    self._end()
                if not self._is_shut:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        writer.transport.abort()

    def _is_reached(self, link: "_Link", sql: str) -> bool:
        if not self._first or not sql or self.acted_at:
            return False
        if self._began_on is None and sql.startswith(self._first):
            self._began_on = link
        is_place = self._began_on is link if self._on_one_link else self._began_on is not None
        return is_place and sql.startswith(self._at)

    def _end(self) -> None:
        if not self._is_shut:
            self._is_shut = True
            self._act()


class _Link:
    """One connection's messages of the client, and the SQL of its prepared statements."""

    def __init__(self) -> None:
        self.ends_with_answer = False
        self._rest = b""
        self._step = b""
        self._sql = ""
        self._has_started = False
        self._prepared: dict[bytes, str] = {}

    def steps(self, data: bytes) -> list[tuple[bytes, str]]:
        """Whole ones, each with the SQL that it executes; the SQL is empty where it executes nothing."""
        self._rest += data
        found = []
        while message := self._message():
            self._step += message
            if not self._has_started:
                self._has_started = int.from_bytes(message[4:6]) == STARTUP_WORDS
            else:
                self._look(message)
                if message[:1] not in b"QSpXH":
                    continue
            found.append((self._step, self._sql))
            self._step, self._sql = b"", ""
        return found

    def _message(self) -> bytes:
        tag = 1 if self._has_started else 0
        if len(self._rest) < tag + 4:
            return b""
        length = tag + int.from_bytes(self._rest[tag : tag + 4])
        if len(self._rest) < length:
            return b""
        message, self._rest = self._rest[:length], self._rest[length:]
        return message

    def _look(self, message: bytes) -> None:
        body = message[5:]
        match message[:1]:
            case b"Q":
                self._sql = _plain(body[:-1])
            case b"P":
                name, query, _ = body.split(b"\0", 2)
                self._prepared[name] = _plain(query)
            case b"B":
                _, name, _ = body.split(b"\0", 2)
                self._sql = self._prepared.get(name, "?")


def _plain(query: bytes) -> str:
    return SPACES.sub(" ", query.decode(errors="replace")).strip()


@asynccontextmanager
async def steps_before(host: str, port: int) -> AsyncIterator[Steps]:
    steps = Steps(host, port)
    server = await asyncio.start_server(steps.serve, "127.0.0.1", 0)
    steps.port = server.sockets[0].getsockname()[1]
    try:
        yield steps
    finally:
        steps.cut()
        server.close()
