"""nats-py's client with what a publisher at speed needs: acknowledgements without a task, one write per loop tick."""

import asyncio
from collections.abc import Callable
from typing import Any

import nats.errors
from nats.aio.client import Client

Arrival = Callable[[str, bytes, bytes], None]  # token, payload, header block

NO_RESPONDERS = b"NATS/1.0 503"


class NotConnected(nats.errors.Error):
    def __str__(self) -> str:
        return "nats: not connected yet"


class Link(Client):
    """nats-py forgets what it is asked before it was connected for the first time: here that fails at once."""

    begun = False

    def __init__(self) -> None:
        super().__init__()
        self._kicked = False
        self._arrivals: dict[int, Arrival] = {}

    async def publish(self, *arguments: Any, **options: Any) -> Any:
        self._require_begun()
        return await super().publish(*arguments, **options)

    async def subscribe(self, *arguments: Any, **options: Any) -> Any:
        self._require_begun()
        return await super().subscribe(*arguments, **options)

    async def request(self, *arguments: Any, **options: Any) -> Any:
        self._require_begun()
        return await super().request(*arguments, **options)

    async def answers(self, arrival: Arrival) -> str:
        """An inbox of our own: what comes to `<inbox>.<token>` is handed over at once, in the reader itself.

        Returns the inbox. Survives reconnections.
        """
        inbox = self.new_inbox()
        subscription = await self.subscribe(f"{inbox}.*", cb=_never)
        self._arrivals[subscription._id] = arrival
        return inbox

    def put(self, *frames: bytes) -> None:
        """Frames of the protocol, behind those before; all of a loop tick leave in one write."""
        self._pending.extend(frames)
        self._pending_data_size += sum(map(len, frames))
        if not self._kicked:
            self._kicked = True
            asyncio.get_running_loop().call_soon(self._kick)

    def _kick(self) -> None:
        self._kicked = False
        if self.is_connected and self._flush_queue is not None and self._flush_queue.empty():
            self._flush_queue.put_nowait(asyncio.get_running_loop().create_future())

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        arrival = self._arrivals.get(sid)
        if arrival is None:
            await super()._process_msg(sid, subject, reply, data, headers)
        else:
            arrival(subject.decode().rpartition(".")[2], data, headers or b"")

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        """As nats-py does, which looks at every character of every name: that was a quarter of a consumer's time."""
        found = {}
        for line in raw.decode("utf-8", "replace").split("\r\n"):
            name, colon, value = line.partition(":")
            name = name.strip()
            if colon and name.isascii() and " " not in name and "\t" not in name:
                found[name] = value.strip()
        return found

    def _require_begun(self) -> None:
        if not self.begun:
            raise NotConnected


async def _never(_: object) -> None:
    """Its messages are taken before they reach a callback."""
