"""kill -9 at every statement from the vote to the callback: what was acknowledged stays, and nothing happens twice."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from approvals_svc.verification import verify
from em.sandbox.server import Sandbox
from shared.contracts.services import APPROVALS_SVC
from tests.line import open_line
from tests.office import Office, environment
from tests.steps import Steps, When, steps_before
from tests.waiting import until

IS_FULL = os.environ.get("SCALE") == "full"
REPEATS = 20 if IS_FULL else 1
VOTE = "SELECT * FROM approval WHERE id = $1 FOR UPDATE"
DECIDING = (
    VOTE,
    "SELECT request, answer FROM answered",
    "SELECT pg_advisory_xact_lock_shared",
    "SELECT max(number)",
    "SELECT approval_id, revision, voter",
    "SELECT clock_timestamp()",
    "UPDATE approval SET status",
    "INSERT INTO vote",
    "INSERT INTO effect",
    "DELETE FROM deadline",
    "INSERT INTO audit",
    "INSERT INTO outbox",
    "INSERT INTO answered",
    "COMMIT",
)
AFTERWARDS = (
    "SELECT subject, body, headers FROM outbox",
    "DELETE FROM outbox",
    "UPDATE effect SET state = 'leased'",
    "UPDATE effect SET state = $3",
)
POINTS: list[tuple[str, When]] = [(at, when) for at in (*DECIDING, *AFTERWARDS) for when in get_args(When)]
FEW: list[tuple[str, When]] = [("COMMIT", "before"), ("COMMIT", "after"), ("UPDATE effect SET state = $3", "before")]


class Stage:
    """An office whose service reaches its database through steps at which it can be killed."""

    def __init__(self, office: Office, steps: Steps) -> None:
        self.office = office
        self.steps = steps

    async def vote_until_killed(self, number: int, key: str, *, at: str, when: When) -> bool:
        """Whether the vote was acknowledged; the service is dead afterwards."""
        server = self.office.line.servers[APPROVALS_SVC.name]
        pid = server.pid
        assert pid
        self.steps.arm(
            first=VOTE, at=at, on_one_link=at in DECIDING, when=when, act=lambda: os.kill(pid, signal.SIGKILL)
        )
        try:
            answer = await self.office.vote(number, "bo", **{"Idempotency-Key": key})
            is_acknowledged = answer.status_code == 200
        except httpx.TransportError:
            is_acknowledged = False

        async def is_dead() -> bool:
            return server.crashed()

        await until(is_dead, timeout_s=20, what=f"it was not killed {when} {at}")
        return is_acknowledged

    async def start_again(self) -> None:
        self.steps.cut()
        self.steps.reset()
        await self.office.line.servers[APPROVALS_SVC.name].start()
        # As if its lease of the effect had run out.
        await self.office.line.fetch("UPDATE approvals.effect SET lease_until = now() WHERE state = 'leased'")


@pytest.fixture
async def stage(
    nats_url: str, database_url: str, prefix: str, counterparts: Sandbox, app_key: rsa.RSAPrivateKey, tmp_path: Path
) -> AsyncIterator[Stage]:
    url = urlsplit(database_url)
    assert url.hostname and url.port
    async with AsyncExitStack() as stack:
        steps = await stack.enter_async_context(steps_before(url.hostname, url.port))
        through = database_url.replace(f"{url.hostname}:{url.port}", f"127.0.0.1:{steps.port}")
        line = await stack.enter_async_context(
            open_line(
                nats_url=nats_url,
                database_url=database_url,
                prefix=prefix,
                directory=tmp_path,
                environment={**environment(tmp_path, counterparts, app_key), "DATABASE_URL": through},
            )
        )
        control = await stack.enter_async_context(httpx.AsyncClient(base_url=counterparts.control_url))
        await line.start(APPROVALS_SVC)
        yield Stage(Office(line, counterparts.github_url, control), steps)


async def test_law_3_killed_at_any_statement_an_acknowledged_vote_stays_and_nothing_happens_twice(
    stage: Stage,
) -> None:
    office = stage.office
    await office.forget()
    for at, when in (POINTS if IS_FULL else FEW) * REPEATS:
        number, key = await office.gate(environment="staging"), uuid4().hex

        is_acknowledged = await stage.vote_until_killed(number, key, at=at, when=when)
        votes = await office.line.fetch("SELECT 1 FROM approvals.vote WHERE approval_id = $1", number)
        await stage.start_again()
        again = await office.vote(number, "bo", **{"Idempotency-Key": key})
        callbacks = await office.callbacks()

        assert len(votes) >= is_acknowledged
        assert (again.status_code, again.json().get("replayed")) == (200, bool(votes))
        shown = await office.show(number)
        assert [entry["verb"] for entry in shown["audit"]].count("decided") == 1
        assert [effect["state"] for effect in shown["effects"]] == ["done"]
        run = int(shown["payload"]["run_id"])
        assert [each["effective"] for each in callbacks if each["run_id"] == run] == [True]

    decided = await office.line.messages("EVENTS", office.line.subjects.event("approval.decided"))
    assert decided == len(await office.line.fetch("SELECT 1 FROM approvals.approval"))
    await _audit_is_whole(office.line.database_url)


async def _audit_is_whole(database_url: str) -> None:
    connection = await asyncpg.connect(database_url, server_settings={"search_path": "approvals"})
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        found = await verify(connection)
    await connection.close()
    assert found.problem == ""
