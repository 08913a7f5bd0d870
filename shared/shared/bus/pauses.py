"""Pausing a subject: when most of what it brings fails for reasons nobody foresaw, the rest waits for a person."""

import time
from collections import deque

from shared.bus.received import Received
from shared.db import Pool, pauses, waiting
from shared.telemetry import logs, metrics

log = logs.get(__name__)

WINDOW_S = 60.0
FAILURES_MIN = 20  # fewer are dead letters to look at, no flood
SHARE_MIN = 0.5  # a rare poison on a busy subject stops nobody
REFRESH_S = 1.0
REASON = "its subject is paused"


class Pauses:
    """What one consumer knows of its paused subjects; the table is the truth, shared by its processes."""

    def __init__(self, pool: Pool, *, consumer: str) -> None:
        self._pool = pool
        self._consumer = consumer
        self._paused: frozenset[str] = frozenset()
        self._looked_at = float("-inf")
        self._failed: dict[str, dict[int, float]] = {}
        self._handled: dict[str, deque[float]] = {}

    async def refresh(self) -> None:
        """What was resumed or paused elsewhere, at most once a second."""
        if time.monotonic() - self._looked_at < REFRESH_S:
            return
        now_paused = await pauses.paused(self._pool, consumer=self._consumer)
        self._looked_at = time.monotonic()
        for subject in self._paused | now_paused:
            metrics.subject_paused.labels(consumer=self._consumer, subject=subject).set(subject in now_paused)
        self._paused = now_paused

    def is_paused(self, subject: str) -> bool:
        return subject in self._paused

    async def put_aside(self, received: list[Received]) -> None:
        """Into the waiting room, until the subject is resumed."""
        await waiting.add(self._pool, [as_row(each, self._consumer, REASON) for each in received])
        for each in received:
            if each.waited:
                each.settled = True  # its row stays where it was
            else:
                await each.acknowledge()
            metrics.consumer_messages.labels(consumer=self._consumer, outcome="paused").inc()

    def handled(self, subject: str) -> None:
        moments = self._handled.setdefault(subject, deque(maxlen=1000))
        moments.append(time.monotonic())

    async def failed(self, received: Received, reason: str) -> None:
        """Pauses the subject where this was one too many within a minute."""
        failures = self._failed.setdefault(received.subject, {})
        failures[received.sequence] = now = time.monotonic()
        for sequence in [number for number, at in failures.items() if now - at > WINDOW_S]:
            del failures[sequence]
        handled = sum(now - at <= WINDOW_S for at in self._handled.get(received.subject, ()))
        if len(failures) < FAILURES_MIN or len(failures) < SHARE_MIN * (len(failures) + handled):
            return
        await self._pause(received.subject, f"{len(failures)} messages failed within a minute, the last: {reason}")
        failures.clear()

    async def _pause(self, subject: str, reason: str) -> None:
        await pauses.pause(self._pool, consumer=self._consumer, subject=subject, reason=reason)
        self._paused |= {subject}
        metrics.subject_paused.labels(consumer=self._consumer, subject=subject).set(1)
        service = self._consumer.partition(":")[0]
        log.error(
            "subject.paused",
            consumer=self._consumer,
            subject=subject,
            reason=reason,
            resume=f"em dead resume {service} {subject}",
        )


def as_row(received: Received, consumer: str, reason: str) -> waiting.Row:
    return waiting.Row(
        consumer=consumer,
        sequence=received.sequence,
        subject=received.subject,
        headers=dict(received.headers),
        body=received.body,
        stored_at=received.stored_at,
        reason=reason,
    )
