"""A message in hand: what it decodes to, where it came from, and how it is settled."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from nats.aio.msg import Msg

from shared.contracts.envelope import own_headers
from shared.db import Pool, waiting


class Received(ABC):
    """`sequence` is that of its stream, `deliveries` how often it was handed out; `item` is set once it is decoded."""

    subject: str
    headers: Mapping[str, str]
    body: bytes
    sequence: int
    stored_at: datetime
    deliveries: int
    waited: bool

    def __init__(self) -> None:
        self.item: Any = None
        self.settled = False

    @property
    def id(self) -> str:
        return str(getattr(self.item, "id", "")) or f"sequence:{self.sequence}"

    @abstractmethod
    async def acknowledge(self) -> None:
        """Done: nobody gets it again."""

    @abstractmethod
    async def give_back(self, after: timedelta = timedelta()) -> None:
        """Whoever consumes next gets it, not before `after`."""

    @abstractmethod
    async def hold(self, lease: timedelta) -> None:
        """Still in hand: nobody else gets it meanwhile."""


class Streamed(Received):
    """Delivered by JetStream."""

    waited = False

    def __init__(self, message: Msg) -> None:
        super().__init__()
        self._message = message
        metadata = message.metadata
        self.subject = message.subject
        self.headers = own_headers(message.headers)
        self.body = message.data
        self.sequence = metadata.sequence.stream
        self.stored_at = metadata.timestamp
        self.deliveries = metadata.num_delivered or 1

    async def acknowledge(self) -> None:
        await self._message.ack()
        self.settled = True

    async def give_back(self, after: timedelta = timedelta()) -> None:
        await self._message.nak(delay=after.total_seconds())
        self.settled = True

    async def hold(self, lease: timedelta) -> None:
        await self._message.in_progress()


class Waited(Received):
    """Taken out of the consumer's waiting room."""

    waited = True

    def __init__(self, row: waiting.Row, pool: Pool) -> None:
        super().__init__()
        self._pool = pool
        self._consumer = row.consumer
        self.subject = row.subject
        self.headers = row.headers
        self.body = row.body
        self.sequence = row.sequence
        self.stored_at = row.stored_at
        self.deliveries = 1

    async def acknowledge(self) -> None:
        await waiting.remove(self._pool, consumer=self._consumer, sequence=self.sequence)
        self.settled = True

    async def give_back(self, after: timedelta = timedelta()) -> None:
        await waiting.delay(self._pool, consumer=self._consumer, sequence=self.sequence, due_in=after)
        self.settled = True

    async def hold(self, lease: timedelta) -> None:
        await waiting.delay(self._pool, consumer=self._consumer, sequence=self.sequence, due_in=lease)
