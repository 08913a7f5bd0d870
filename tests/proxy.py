"""A TCP proxy on the loopback whose link a test can cut or make half-open: bytes vanish, and nobody is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

READ_BYTES = 64 * 1024


class Proxy:
    """`port` leads to the server. While `swallows` is set, whatever is sent in either direction is lost."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = host, port
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.swallows = False
        self.connections = 0

    def cut(self) -> None:
        """Every connection ends with a reset."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, up_writer}
        await asyncio.gather(self._pump(reader, up_writer), self._pump(up_reader, writer))
        self._writers -= {writer, up_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection that was half-open stays so: what it lost can't be made up for."""
        lost = False
        try:
            while data := await reader.read(READ_BYTES):
                lost = lost or self.swallows
                if not lost:
                    writer.write(data)
                    await writer.drain()
        except OSError:
            pass
        writer.transport.abort()


@asynccontextmanager
async def proxy_to(host: str, port: int) -> AsyncIterator[Proxy]:
    proxy = Proxy(host, port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        proxy.cut()
        server.close()
