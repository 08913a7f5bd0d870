"""From EVENTS to committed: a history of some events, and the next ones as they come, through one process."""

import sys
from collections.abc import Sequence
from uuid import uuid4

import msgspec

from metrics_svc.facts import Fact
from shared.bus.connection import open_operator
from shared.contracts.envelope import event_message
from shared.settings import ServiceSettings
from tests.bench import consumers
from tests.bench.metrics.filling import connected
from tests.provisioning import provisioned, removed

PUBLISHED_AT_ONCE = 500


class Consumed(msgspec.Struct, frozen=True, kw_only=True):
    """CPU is of metrics-svc and of the PostgreSQL processes that serve it."""

    events_s: float
    cpu_us: float
    own_cpu_us: float


async def consume(nats_url: str, dsn: str, events: Sequence[Fact], environment: dict[str, str]) -> Consumed:
    """On a prefix of its own. Raises RuntimeError when one of them was not taken."""
    prefix = f"b{uuid4().hex[:8]}"
    await provisioned(nats_url, prefix)
    try:
        async with open_operator(ServiceSettings(nats_url=nats_url, nats_prefix=prefix)) as bus:
            for first in range(0, len(events), PUBLISHED_AT_ONCE):
                messages = [event_message(each, bus.subjects) for each in events[first : first + PUBLISHED_AT_ONCE]]
                await bus.publisher.publish_all(messages, timeout_s=30)
        taken_before = await _taken(dsn)
        found = await consumers.run(
            [sys.executable, "-m", "tests.bench.consumers", "metrics"],
            {**environment, "NATS_URL": nats_url, "NATS_PREFIX": prefix, "DATABASE_URL": dsn},
        )
        if (taken := await _taken(dsn) - taken_before) != len(events):
            raise RuntimeError(f"{len(events)} events published, {taken} taken")
    finally:
        await removed(nats_url, prefix)
    return Consumed(
        events_s=len(events) / found["s"],
        cpu_us=(found["cpu_s"] + found["backend_cpu_s"]) / len(events) * 1e6,
        own_cpu_us=found["cpu_s"] / len(events) * 1e6,
    )


async def _taken(dsn: str) -> int:
    async with connected(dsn) as owner:
        return int(await owner.fetchval("SELECT count(*) FROM inbox"))
