"""uvicorn's HTTP/1.1 with what it lacks: deadlines and bounds on headers, and no two ideas of where a body ends.

uvicorn itself waits for ever for a header that comes byte by byte, and takes Content-Length together with
Transfer-Encoding, which a proxy in front may read the other way (request smuggling).
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEADER_DEADLINE_S = 5.0
LOOK_EVERY_S = 1.0
HEADERS_MAX_BYTES = 16 * 1024
CONNECTIONS_MAX = 4096
LINGER_S = 1.0  # for an answer to arrive before what the client goes on sending resets the connection
BODY_IS_HERE = "em.body_is_here"  # in the scope, once the request came whole: no deadline is needed to read it


class Protocol(HttpToolsProtocol):
    """One connection. A request's headers must be complete five seconds after its first byte, and fit 16 KiB.

    One timer per connection looks once a second: a timer per request would cost more than the request's parsing.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._looking: asyncio.TimerHandle | None = None
        self._headers_since: float | None = None
        self._header_bytes = 0
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            self._refuse(b"503 Service Unavailable", retry_after_s=1)
            self.transport.close()  # at once: those that linger would keep others out
            return
        self._await_headers()
        self._look()

    def data_received(self, data: bytes) -> None:
        if self._is_refused:
            return
        if self._headers_since is None and self._is_between_requests():
            self._await_headers()
        if self._headers_since is not None:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._headers_since is not None and self._header_bytes > HEADERS_MAX_BYTES:
            self._refuse(b"431 Request Header Fields Too Large")

    def on_headers_complete(self) -> None:
        self._headers_since = None
        names = [name for name, _ in self.headers]
        if b"transfer-encoding" in names and b"content-length" in names:
            self._refuse(b"400 Bad Request")
        elif self._header_bytes > HEADERS_MAX_BYTES and self._headers_are_too_large():
            self._refuse(b"431 Request Header Fields Too Large")
        else:
            super().on_headers_complete()

    def _headers_are_too_large(self) -> bool:
        """What came so far may be body for the most part."""
        return sum([len(name) + len(value) for name, value in self.headers]) > HEADERS_MAX_BYTES

    def on_body(self, body: bytes) -> None:
        if self.cycle is not None and not self._is_over():
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self.cycle is not None and not self._is_over():
            self.scope[BODY_IS_HERE] = True  # type: ignore[literal-required]  # a key of ours
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def _is_over(self) -> bool:
        return self._is_refused or self.transport.is_closing()

    def _is_between_requests(self) -> bool:
        return self.cycle is None or (self.cycle.response_complete and not self.cycle.more_body)

    def _await_headers(self) -> None:
        self._header_bytes = 0
        self._headers_since = self.loop.time()

    def _look(self) -> None:
        if self._headers_since is None or self.loop.time() - self._headers_since < HEADER_DEADLINE_S:
            self._looking = self.loop.call_later(LOOK_EVERY_S, self._look)
        elif self._header_bytes:
            self._refuse(b"408 Request Timeout")
        else:
            self.transport.close()

    def _refuse(self, status: bytes, *, retry_after_s: int = 0) -> None:
        """Whatever else comes on this connection is thrown away, and after a moment not read.

        A close while bytes are unread is a reset, and that may overtake the answer (RFC 9112, section 9.6).
        """
        self._headers_since = None
        self._is_refused = True
        retry = b"retry-after: %d\r\n" % retry_after_s if retry_after_s else b""
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 %b\r\n%bcontent-length: 0\r\nconnection: close\r\n\r\n" % (status, retry))
            self.transport.write_eof()
            self.loop.call_later(LINGER_S, self.transport.close)
