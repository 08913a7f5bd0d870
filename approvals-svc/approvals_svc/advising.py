"""Asks OPA about what was proposed, outside of the transaction that took it, and stores what it said."""

import asyncio
from typing import Protocol

from approvals_svc import opa_store, store
from approvals_svc.desk import Desk
from approvals_svc.model import Approval
from approvals_svc.opa import Advice
from approvals_svc.policy import Facts
from shared.bus import Relay
from shared.db import Pool
from shared.db.polling import look_every

POLL_S = 0.25
AT_ONCE = 10
LEASE_S = 5.0  # longer than a question may take


class Advisor(Protocol):
    async def advice(self, facts: Facts) -> Advice: ...

    async def action(self, rule: str) -> str: ...


class Advising:
    """One per process; several share the questions. Who asks again after a crash asks OPA again, and decides once."""

    def __init__(self, *, pool: Pool, desk: Desk, advisor: Advisor, relay: Relay) -> None:
        self._pool = pool
        self._desk = desk
        self._advisor = advisor
        self._relay = relay

    async def run(self, stop: asyncio.Event) -> None:
        await look_every(POLL_S, self._look, stop, name="opa")

    async def _look(self) -> None:
        while await self.advise_some() == AT_ONCE:
            pass

    async def advise_some(self) -> int:
        """How many there were."""
        async with self._pool.acquire() as connection:
            due = await opa_store.lease(connection, limit=AT_ONCE, lease_s=LEASE_S)
        for problem in await asyncio.gather(*(self._advise(number) for number in due), return_exceptions=True):
            if isinstance(problem, BaseException):
                raise problem
        return len(due)

    async def settled(self, approval: Approval) -> Approval:
        """How it stands once OPA was asked, for who waits for the answer."""
        if not approval.requirement.asks_opa:
            return approval
        await self._advise(approval.id)
        async with self._pool.acquire() as connection:
            return await store.approval(connection, approval.id) or approval

    async def action(self, rule: str) -> str:
        return await self._advisor.action(rule)

    async def _advise(self, number: int) -> None:
        async with self._pool.acquire() as connection:
            approval = await store.approval(connection, number)
            is_open = await opa_store.is_open(connection, number)
        if approval is None or not is_open:
            return
        advice = await self._advisor.advice(approval.subject.facts)
        async with self._pool.acquire() as tx, tx.transaction():
            await self._desk.advise(tx, number, advice, revision=approval.revision)
        self._relay.wake()
