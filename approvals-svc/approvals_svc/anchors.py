"""Once an hour, one replica hashes what changed in all chains and publishes it: whole approvals can't vanish unseen."""

import asyncio

from approvals_svc import audit_store, store
from approvals_svc.audit import Anchor, next_anchor
from shared.contracts.envelope import event_message
from shared.contracts.events import ApprovalAnchored
from shared.contracts.ids import step_of_entity
from shared.contracts.services import APPROVALS_SVC
from shared.contracts.subjects import Subjects
from shared.db import Connection, Pool, locks, outbox
from shared.db.polling import look_every
from shared.telemetry import logs

log = logs.get(__name__)

INTERVAL_S = 3600.0
POLL_S = 20.0


class Anchors:
    """`interval_s` goes by the database's clock, for all replicas together."""

    def __init__(self, *, pool: Pool, subjects: Subjects, interval_s: float = INTERVAL_S) -> None:
        self._pool = pool
        self._subjects = subjects
        self._interval_s = interval_s

    async def run(self, stop: asyncio.Event) -> None:
        await look_every(POLL_S, self.anchor_if_due, stop, name="anchors")

    async def anchor_if_due(self) -> Anchor | None:
        """None: it is not yet time, another replica was first, or nothing changed."""
        async with self._pool.acquire() as connection:
            if not await audit_store.anchor_is_due(connection, interval_s=self._interval_s):
                return None
            async with connection.transaction():
                anchor = await self._anchor(connection)
        if anchor:
            log.info("approval.anchored", anchor=anchor.number, approvals=anchor.approvals, hash=anchor.hash)
        return anchor

    async def _anchor(self, tx: Connection) -> Anchor | None:
        """The lock makes who comes second see the anchor of who came first."""
        await locks.lock(tx, APPROVALS_SVC.name, ["anchor"])
        if not await audit_store.anchor_is_due(tx, interval_s=self._interval_s):
            return None
        heads = await audit_store.unanchored(tx)
        if not heads:
            return None
        anchor = next_anchor(await audit_store.newest_anchor(tx), heads, at=await store.clock(tx))
        await audit_store.insert_anchor(tx, anchor, heads)
        await outbox.add(tx, [event_message(_event(anchor), self._subjects)])
        return anchor


def _event(anchor: Anchor) -> ApprovalAnchored:
    return ApprovalAnchored(
        occurred_at=anchor.at,
        anchor=anchor.number,
        approvals=anchor.approvals,
        prev_hash=anchor.prev_hash,
        hash=anchor.hash,
    ).stamped(
        id=step_of_entity(service=APPROVALS_SVC.name, entity=f"anchor:{anchor.hash}", revision=0, step="anchored"),
        source=APPROVALS_SVC.name,
        origin="live",
        received_at=anchor.at,
    )
