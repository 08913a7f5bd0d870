"""Group commit: publications that wait together share one atomic batch, and with it one fsync of the server.

One round is under way at a time, and whatever arrives meanwhile forms the next: no timer, nothing to tune. A round of
few goes as pipelined singles; so does a batch that the broker would not take whole (an id that it knows already) or
did not answer: every message has an id of its own, so that a repeat is stored once.
"""

import asyncio
import time
from uuid import uuid4

import msgspec

from shared.bus.acks import Ack, Acks
from shared.bus.errors import PublishError, PublishUnknown
from shared.bus.frames import publication
from shared.bus.link import Link
from shared.telemetry import metrics

GROUP_FROM = 4  # below that a batch costs more than it saves
BATCH_MAX = 256
BATCH_MAX_BYTES = 4 * 1024 * 1024
BATCH_TIMEOUT_S = 2.0
ROUND_MAX_S = 1.0  # an answer that doesn't come must not hold up who comes later


class Publication(msgspec.Struct):
    """One message on its way; `answer` gets what became of it. `deadline` is on the monotonic clock."""

    subject: str
    block: bytes
    body: bytes
    id: str
    deadline: float
    answer: "asyncio.Future[Ack | PublishError]"

    def settle(self, answer: Ack | PublishError) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)

    def abandoned(self) -> bool:
        return self.answer.done()


class Commits:
    """The publications of one stream. `groups` False: never in batches."""

    def __init__(self, link: Link, acks: Acks, *, groups: bool) -> None:
        self._link = link
        self._acks = acks
        self._groups = groups
        self._waiting: list[Publication] = []
        self._scheduled = False
        self._round = 0
        self._under_way = 0
        self._overdue: asyncio.TimerHandle | None = None

    def add(self, publication: Publication) -> None:
        self._waiting.append(publication)
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._next_round)

    def _next_round(self) -> None:
        self._scheduled = False
        if self._under_way > 0:
            if self._overdue is None:
                self._overdue = asyncio.get_running_loop().call_later(ROUND_MAX_S, self._give_up_round, self._round)
            return
        batch = self._take()
        if not batch:
            return
        self._round += 1
        self._under_way = len(batch)
        if len(batch) < GROUP_FROM or not self._groups:
            self._send_singles(batch)
        else:
            self._send_batch(batch)

    def _take(self) -> list[Publication]:
        """What goes together: within the limits of a batch, no id twice, nobody who has gone."""
        taken: dict[str, Publication] = {}
        later: list[Publication] = []
        size = 0
        now = time.monotonic()
        for each in self._waiting:
            if each.abandoned():
                continue
            if each.deadline <= now:
                each.settle(PublishUnknown("no acknowledgement in time"))
            elif len(taken) < BATCH_MAX and size < BATCH_MAX_BYTES and each.id not in taken:
                taken[each.id] = each
                size += len(each.body)
            else:
                later.append(each)
        self._waiting = later
        return list(taken.values())

    def _send_singles(self, publications: list[Publication]) -> None:
        number = self._round
        for each in publications:

            def answered(answer: Ack | PublishError, each: Publication = each) -> None:
                each.settle(answer)
                self._ended(number, 1)

            reply = self._acks.expect(each.deadline, answered)
            self._link.put(*publication(each.subject, reply, each.block, each.body))
        if not self._groups:
            self._under_way = 0  # nothing is gained by waiting for them
            if self._waiting:
                self._schedule()

    def _send_batch(self, batch: list[Publication]) -> None:
        number = self._round
        metrics.publish_batch.observe(len(batch))

        def answered(answer: Ack | PublishError) -> None:
            if isinstance(answer, Ack):
                first = answer.seq - len(batch) + 1
                for offset, each in enumerate(batch):
                    each.settle(Ack(answer.stream, first + offset))
                self._ended(number, len(batch))
            else:
                metrics.publish_batch_failures.labels(error=type(answer).__name__).inc()
                self._send_singles([each for each in batch if not each.abandoned()])
                self._ended(number, sum(each.abandoned() for each in batch))

        batch_id = uuid4().hex
        reply = self._acks.expect(min(time.monotonic() + BATCH_TIMEOUT_S, batch[0].deadline), answered)
        for place, each in enumerate(batch, start=1):
            last = place == len(batch)
            mark = f"Nats-Batch-Id: {batch_id}\r\nNats-Batch-Sequence: {place}\r\n"
            mark += "Nats-Batch-Commit: 1\r\n" if last else ""
            self._link.put(*publication(each.subject, reply if last else "", each.block + mark.encode(), each.body))

    def _give_up_round(self, number: int) -> None:
        """Its answers may still come; whoever waits behind it need not."""
        self._overdue = None
        if number == self._round:
            self._under_way = 0
        self._next_round()

    def _ended(self, number: int, publications: int) -> None:
        if number == self._round:
            self._under_way -= publications
        if self._waiting and self._under_way <= 0:
            if self._overdue is not None:
                self._overdue.cancel()
                self._overdue = None
            self._schedule()
