"""Is the audit as it was written: every chain, what the anchors hold of them, and the anchors themselves."""

from collections.abc import Callable
from datetime import datetime

import msgspec
from asyncpg import Record

from approvals_svc import audit_store
from approvals_svc.audit import FIRST_ANCHOR, Anchor, Chain, anchor_hash
from shared.db import Connection

PROGRESS_EVERY_ROWS = 1000
ANCHORS_PAGE = 100

Progress = Callable[[int], None]


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """`problem` is empty, or names the first bad row; the counts go up to there."""

    rows: int = 0
    chains: int = 0
    anchors: int = 0
    problem: str = ""


async def verify(
    tx: Connection,
    *,
    approval_id: int | None = None,
    since: datetime | None = None,
    witness: Anchor | None = None,
    progress: Progress = lambda _: None,
) -> Verified:
    """In one snapshot: `tx` is a REPEATABLE READ transaction. `witness`: an anchor as it was published.

    One row is held at a time, and the heads of one anchor.
    """
    found = await _chains(tx, approval_id=approval_id, since=since, progress=progress)
    problem = found.problem or await _lost(tx, approval_id=approval_id)
    anchors = 0
    if not problem and approval_id is None:
        anchors, problem = await _anchors(tx, since=since)
        problem = problem or await _contradiction(tx, witness)
    return msgspec.structs.replace(found, anchors=anchors, problem=problem)


async def _chains(tx: Connection, *, approval_id: int | None, since: datetime | None, progress: Progress) -> Verified:
    rows = chains = 0
    chain, approval = Chain(""), None
    async for row in audit_store.chains(tx, approval_id=approval_id, since=since):
        if approval is None or row["approval_id"] != approval["approval_id"]:
            if problem := _end(chain, approval):
                return Verified(rows=rows, chains=chains, problem=problem)
            chain, approval = Chain(row["public_id"]), row
            chains += 1
        if row["seq"] is None:
            continue
        if problem := chain.take(row):
            return Verified(rows=rows, chains=chains, problem=f"{_row(row)} {problem}")
        rows += 1
        if rows % PROGRESS_EVERY_ROWS == 0:
            progress(rows)
    return Verified(rows=rows, chains=chains, problem=_end(chain, approval))


def _end(chain: Chain, approval: Record | None) -> str:
    if approval is None:
        return ""
    problem = chain.end(seq=approval["audit_seq"], head=approval["audit_head"], status=approval["status"])
    return f"approval #{approval['approval_id']} {problem}" if problem else ""


async def _lost(tx: Connection, *, approval_id: int | None) -> str:
    """Rows whose approval is gone, and rows that an anchor holds and that are gone or others now."""
    if orphan := await audit_store.first_orphan(tx, approval_id=approval_id):
        return f"{_row(orphan)} belongs to no approval"
    if lost := await audit_store.first_lost(tx, approval_id=approval_id):
        return f"{_row(lost)} is not what anchor {lost['anchor']} holds of it"
    return ""


async def _anchors(tx: Connection, *, since: datetime | None) -> tuple[int, str]:
    """How many are good, and what is wrong with the next one."""
    previous = await audit_store.newest_anchor(tx, until=since) if since else None
    good = 0
    while page := await audit_store.anchors_after(tx, previous.number if previous else 0, limit=ANCHORS_PAGE):
        for anchor in page:
            if problem := await _misfit(tx, anchor, previous):
                return good, f"anchor {anchor.number} {problem}"
            previous = anchor
            good += 1
    return good, ""


async def _misfit(tx: Connection, anchor: Anchor, previous: Anchor | None) -> str:
    number, prev_hash = (previous.number + 1, previous.hash) if previous else (1, FIRST_ANCHOR)
    if anchor.number != number:
        return f"stands where anchor {number} must"
    if anchor.prev_hash != prev_hash:
        return "does not follow the anchor before it"
    heads = await audit_store.heads_of(tx, anchor.number)
    fits = (len(heads), anchor_hash(prev_hash, number, heads, at=anchor.at)) == (anchor.approvals, anchor.hash)
    return "" if fits else "is not as it was written"


async def _contradiction(tx: Connection, witness: Anchor | None) -> str:
    if witness is None:
        return ""
    kept = await audit_store.anchor(tx, witness.number)
    if kept is None:
        return f"anchor {witness.number} is gone: it was published"
    return "" if kept.hash == witness.hash else f"anchor {witness.number} is not the one that was published"


def _row(row: Record) -> str:
    return f"approval #{row['approval_id']}, row {row['seq']}"
