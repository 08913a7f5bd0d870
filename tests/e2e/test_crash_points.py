"""kill -9 between every two steps of the loop, in real services under traffic: nothing lost, nothing doubled (P-03)."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from shared.bus.failpoints import POINTS
from shared.contracts.services import APPROVALS_SVC, INGEST, METRICS_SVC, NORMALIZER, NOTIFIER, Service
from tests.line import Line
from tests.waiting import until

RATE = 200  # deliveries per second
# Who passes the point; at scale 1 only the first of them dies there. The relay's point has a test of its own.
WHO: dict[str, Sequence[Service]] = {
    "batch.received": (METRICS_SVC, NORMALIZER),
    "batch.handled": (METRICS_SVC, NORMALIZER),
    "batch.committed": (NORMALIZER, METRICS_SVC),
    "batch.published": (NORMALIZER, METRICS_SVC),
    "letter.published": (NORMALIZER,),
}


def deployment(number: int) -> bytes:
    """A finished deployment of its own; every hundredth has no environment, and nobody can translate it."""
    at = datetime.now(UTC).isoformat()
    status = {"id": number, "state": "success", "created_at": at, "updated_at": at, "environment": "production"}
    fields = {"id": number, "sha": f"{number:040x}", "ref": "main", "task": "deploy", "created_at": at}
    return json.dumps(
        {
            "action": "created",
            "deployment_status": status,
            "deployment": {**fields, "environment": "production", "creator": {"login": "ana"}}
            if number % 100 != 99
            else None,
            "repository": {"full_name": f"acme/web-{number % 7}", "default_branch": "main"},
            "sender": {"login": "ana"},
        }
    ).encode()


class Traffic:
    """Deliveries at a steady rate until told to stop; each is repeated until it was accepted."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self.accepted: list[int] = []

    async def run(self, stop: asyncio.Event) -> None:
        number = 0
        async with asyncio.TaskGroup() as group:
            while not stop.is_set():
                for _ in range(RATE // 20):
                    group.create_task(self._send(number))
                    number += 1
                await asyncio.sleep(0.05)

    async def _send(self, number: int) -> None:
        answer = await self._line.send_github("deployment_status", deployment(number), delivery=delivery_id(number))
        assert answer.status_code == 202, answer.text
        self.accepted.append(number)


def delivery_id(number: int) -> str:
    return f"7a1f0c1e-0000-4000-8000-{number:012d}"


@asynccontextmanager
async def traffic(line: Line) -> AsyncIterator[Traffic]:
    stop = asyncio.Event()
    sending = Traffic(line)
    running = asyncio.create_task(sending.run(stop))
    try:
        yield sending
    finally:
        stop.set()
        await running


@pytest.mark.parametrize("point", WHO)
async def test_law_3_killed_between_two_steps_nothing_is_lost_and_nothing_doubled(
    line: Line, scale: int, point: str
) -> None:
    kills = 1 if scale == 1 else 50
    chance = random.Random(point)  # repeatable
    await line.start(INGEST, NORMALIZER, METRICS_SVC)
    async with traffic(line) as sent:
        for service in WHO[point][: 1 if scale == 1 else None]:
            for _ in range(kills):
                await _die_at(line, service, point, nth=chance.randint(1, 4 if point.startswith("letter") else 12))
        await asyncio.sleep(0.5)
    await line.settled(timeout_s=120)

    await _ledger_holds(line, sent.accepted)


async def _die_at(line: Line, service: Service, point: str, *, nth: int) -> None:
    """The service is started with the point armed, dies there by itself, and comes back unarmed."""
    server = line.servers[service.name]
    await server.kill()
    line.arm(service, f"{point}:kill:{nth}")
    try:
        await server.start()
    except Exception:  # it may die before it was ever ready
        assert not server.pid or server.crashed()

    async def is_dead() -> bool:
        return server.pid is None or server.crashed()

    await until(is_dead, timeout_s=60, what=f"{service.name} did not die at {point}")
    line.arm(service, "")
    await server.start()


async def _ledger_holds(line: Line, accepted: Sequence[int]) -> None:
    """L1, L3, L4, L7 of the ledger."""
    rows = await line.fetch("SELECT delivery, disposition FROM normalizer.delivery")
    poison = {delivery_id(number) for number in accepted if number % 100 == 99}
    assert sorted(row["delivery"] for row in rows) == sorted(map(delivery_id, accepted))
    assert {row["delivery"] for row in rows if row["disposition"] == "dead"} == poison
    assert {row["disposition"] for row in rows} <= {"events", "dead"}
    assert await line.messages("DEAD") == len(poison)
    facts = await line.fetch("SELECT deployment_id FROM metrics.deployment")
    assert sorted(int(row["deployment_id"]) for row in facts) == sorted(n for n in accepted if n % 100 != 99)
    assert await line.messages("EVENTS", line.subjects.event("deployment.finished")) == len(facts)
    revisions = await line.fetch("SELECT sum(revision)::int AS of_days FROM metrics.bucket")
    assert await line.messages("EVENTS", line.subjects.event("metric.changed")) == revisions[0]["of_days"]


def test_every_point_is_killed_at_somewhere() -> None:
    elsewhere = {"outbox.published", "rebuild.published"}  # below, and in test_rebuild
    assert set(POINTS) == {*WHO, *elsewhere}


async def test_law_3_relay_killed_between_publication_and_deletion_says_nothing_twice(line: Line) -> None:
    await line.start(APPROVALS_SVC)
    await line.servers[APPROVALS_SVC.name].kill()
    subject = line.subjects.event("approval.decided")
    await line.fetch(
        """
        INSERT INTO approvals.outbox (message_id, subject, body, headers)
        SELECT 'm' || n, $1, '{}', convert_to('{"Nats-Msg-Id":"m' || n || '"}', 'UTF8') FROM generate_series(1, 250) n
        """,
        subject,
    )
    line.arm(APPROVALS_SVC, "outbox.published:kill:2")
    server = line.servers[APPROVALS_SVC.name]
    try:
        await server.start()
    except Exception:  # it may die before it was ever ready
        assert not server.pid or server.crashed()

    async def is_dead() -> bool:
        return server.pid is None or server.crashed()

    await until(is_dead, timeout_s=30, what="the relay did not die")
    assert await line.count("approvals.outbox") > 0
    line.arm(APPROVALS_SVC, "")
    await server.start()

    async def is_empty() -> bool:
        return await line.count("approvals.outbox") == 0

    await until(is_empty, timeout_s=20, what="the outbox was not emptied")
    assert await line.messages("EVENTS") == 250
    assert NOTIFIER.name not in line.servers
