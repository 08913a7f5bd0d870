"""Metrics from committed rows: each row is counted by one replica, and what rolled back never happened."""

import asyncio
from datetime import timedelta
from typing import Any

from asyncpg import Record

from approvals_svc import tally_store
from approvals_svc.tasks import GithubGate
from shared.db import Pool
from shared.db.polling import pause
from shared.db.pool import INFRASTRUCTURE_ERRORS
from shared.telemetry import logs, metrics

log = logs.get(__name__)

POLL_S = 1.0
GAUGES_EVERY_POLLS = 15
BATCH_MAX = 500
AGES = {
    "0-15m": timedelta(minutes=15),
    "15m-1h": timedelta(hours=1),
    "1h-4h": timedelta(hours=4),
    "4h-1d": timedelta(days=1),
    "1d-7d": timedelta(days=7),
}
OLDEST = "7d-"
ENDS = frozenset({"executed", "dead", "revoked", "rejected", "expired", "cancelled"})
CLOSED = {"done": "confirmed", "dead": "givenup"}


class Tallies:
    """`sla`: how long an approval may wait before it counts as breached."""

    def __init__(self, *, pool: Pool, sla: timedelta) -> None:
        self._pool = pool
        self._sla = sla

    async def run(self, stop: asyncio.Event) -> None:
        polls = 0
        while not stop.is_set():
            try:
                while await self.count_some():
                    pass
                if polls % GAUGES_EVERY_POLLS == 0:
                    await self.measure()
                polls += 1
            except INFRASTRUCTURE_ERRORS as error:
                log.warning("tallies.stalled", error=repr(error))
            await pause(stop, POLL_S)

    async def count_some(self) -> bool:
        """True when there may be more."""
        async with self._pool.acquire() as connection, connection.transaction():
            claimed = await tally_store.claim_chains(connection, limit=BATCH_MAX)
            rows = await tally_store.rows_of(connection, claimed) if claimed else []
            effects = await tally_store.claim_effects(connection, limit=BATCH_MAX)
            refused = await tally_store.claim_refused_chats(connection, limit=BATCH_MAX)
            failed = await tally_store.claim_failed_checks(connection)
        for row in rows:
            _count_row(row)
        for effect in effects:
            _count_effect(effect)
        for reason in refused:
            metrics.approvals_conflicts.labels(reason=reason).inc()
        metrics.approvals_audit_verify_failures.inc(failed)
        return BATCH_MAX in (len(claimed), len(effects), len(refused))

    async def measure(self) -> None:
        async with self._pool.acquire() as connection:
            pending = await tally_store.pending(connection, bounds=list(AGES.values()), sla=self._sla)
        for age, waiting in zip((*AGES, OLDEST), pending.by_age, strict=True):
            metrics.approvals_pending.labels(age=age).set(waiting)
        metrics.approvals_oldest_pending.set(pending.oldest_s)
        metrics.approvals_sla_breached.set(pending.over_sla)


def _ends(row: Record) -> bool:
    """The one row after which nothing more becomes of it: what is carried out ends when that does, the rest with its
    decision. What is superseded goes on in its successor."""
    if row["before"] == row["after"] or row["after"] == "superseded":
        return False
    if row["is_carried_out"]:
        return row["after"] in ENDS
    return bool(row["before"] == "pending")


def _count_row(row: Record) -> None:
    """Whatever the verb: the one row that leaves pending is the decision."""
    if row["before"] == "pending" != row["after"]:
        metrics.approvals_decisions.labels(status=row["after"]).inc()
        metrics.approvals_latency.observe(row["age"].total_seconds())
    if _ends(row):
        mode = "hitl" if row["outcome"] == "require" else "auto"
        metrics.workflows_auto_vs_hitl.labels(mode=mode).inc()
    if row["replaced"]:
        metrics.approvals_override.labels(**{"from": row["replaced"], "to": row["verb"]}).inc()
    if row["before"] != row["after"] == "revoked":
        metrics.approvals_override.labels(**{"from": row["before"], "to": "revoked"}).inc()
    if row["broken_by"]:
        metrics.approvals_override.labels(**{"from": "pending", "to": "break_glass"}).inc()
    if row["refusal"]:
        metrics.approvals_conflicts.labels(reason=row["refusal"]).inc()


def _count_effect(effect: Record) -> None:
    """A closed one had one try that told how it ends; whatever was tried before ended without an answer."""
    closed = CLOSED.get(effect["state"])
    kind: Any = effect["kind"]
    if closed:
        metrics.approvals_effects.labels(kind=kind, result=closed).inc()
    metrics.approvals_effects.labels(kind=kind, result="unknown").inc(effect["tries"] - bool(closed))
    if kind == GithubGate.kind and effect["state"] == "done":
        metrics.approvals_gate_callback.observe(effect["took"].total_seconds())
