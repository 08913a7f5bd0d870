"""Acknowledgements of JetStream: who waits for which, and one clock for all that wait too long."""

import asyncio
import time
from collections.abc import Callable
from itertools import count

import msgspec

from shared.bus.errors import PublishError, PublishRefused, PublishRejected, PublishUnknown
from shared.bus.link import NO_RESPONDERS, Link

SWEEP_EVERY_S = 0.1
# nats-server's error codes of messages that no repeat makes fit.
NEVER_TAKEN = frozenset({10054, 10097})  # message, or its headers, over the stream's maximum
NOT_UNIQUE = 10201  # a batch that holds an id which the stream knows, or one twice


class Ack(msgspec.Struct, frozen=True):
    """Stored at `seq`. `duplicate`: it stood there already."""

    stream: str = ""
    seq: int = 0
    duplicate: bool = False


class _Error(msgspec.Struct):
    err_code: int = 0
    description: str = ""


class _Answer(msgspec.Struct):
    stream: str = ""
    seq: int = 0
    duplicate: bool = False
    error: _Error | None = None


Done = Callable[[Ack | PublishError], None]

_decoder = msgspec.json.Decoder(_Answer)


class BatchNotUnique(PublishRefused):
    """Nothing of the batch is stored; its messages have to go one by one."""


class Acks:
    """`expect` gives the reply subject of a request; `done` is called once, with the answer or PublishUnknown."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._inbox = ""
        self._tokens = count()
        self._waiting: dict[str, tuple[float, Done]] = {}
        self._sweeping = False

    @property
    def is_open(self) -> bool:
        return bool(self._inbox)

    async def open(self) -> None:
        """Once, before the first `expect`; needs the connection."""
        if not self._inbox:
            self._inbox = await self._link.answers(self._arrived)

    def expect(self, deadline: float, done: Done) -> str:
        """`deadline` on the monotonic clock."""
        token = str(next(self._tokens))
        self._waiting[token] = deadline, done
        if not self._sweeping:
            self._sweeping = True
            asyncio.get_running_loop().call_later(SWEEP_EVERY_S, self._sweep)
        return f"{self._inbox}.{token}"

    def _arrived(self, token: str, payload: bytes, headers: bytes) -> None:
        waiting = self._waiting.pop(token, None)
        if waiting:
            waiting[1](read(payload, headers))

    def _sweep(self) -> None:
        now = time.monotonic()
        late = [token for token, (deadline, _) in self._waiting.items() if deadline <= now]
        for token in late:
            self._waiting.pop(token)[1](PublishUnknown("no acknowledgement in time"))
        self._sweeping = bool(self._waiting)
        if self._sweeping:
            asyncio.get_running_loop().call_later(SWEEP_EVERY_S, self._sweep)


def read(payload: bytes, headers: bytes) -> Ack | PublishError:
    """What the server says of a publication."""
    if headers.startswith(NO_RESPONDERS):
        return PublishRefused("no stream takes this subject")
    try:
        answer = _decoder.decode(payload)
    except msgspec.DecodeError:
        return PublishUnknown("an answer that can't be read")
    if answer.error is None:
        return Ack(answer.stream, answer.seq, answer.duplicate)
    text = f"{answer.error.description} ({answer.error.err_code})"
    if answer.error.err_code == NOT_UNIQUE:
        return BatchNotUnique(text)
    return PublishRejected(text) if answer.error.err_code in NEVER_TAKEN else PublishRefused(text)
