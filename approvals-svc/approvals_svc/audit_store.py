"""All SQL about the audit as a whole: following chains, anchors, checks, and reading it in order."""

from collections.abc import AsyncIterable, Sequence
from datetime import datetime

from asyncpg import Record

from approvals_svc.audit import Anchor, Head
from shared.db import Connection

PREFETCH = 5000


def chains(tx: Connection, *, approval_id: int | None, since: datetime | None) -> AsyncIterable[Record]:
    """Every row beside what its approval says, chain by chain; `seq` is NULL where an approval has no row.

    `since`: chains in which something happened since then, by their own rows or by an anchor, each whole.
    """
    return tx.cursor(
        """
        SELECT approval.id AS approval_id, public_id::text, status, audit_seq, audit_head,
               seq, at, actor, verb, before, after, detail, prev_hash, hash
        FROM approval LEFT JOIN audit ON audit.approval_id = approval.id
        WHERE ($1::bigint IS NULL OR approval.id = $1) AND ($2::timestamptz IS NULL OR approval.id IN (
            SELECT approval_id FROM audit WHERE at >= $2
            UNION SELECT approval_id FROM anchored JOIN anchor ON number = anchor WHERE anchor.at >= $2
            UNION SELECT id FROM approval WHERE created_at >= $2 OR decided_at >= $2))
        ORDER BY approval.id, seq
        """,
        approval_id,
        since,
        prefetch=PREFETCH,
    )


async def first_orphan(tx: Connection, *, approval_id: int | None) -> Record | None:
    """A row whose approval is gone."""
    return await tx.fetchrow(
        """
        SELECT approval_id, seq FROM audit
        WHERE ($1::bigint IS NULL OR approval_id = $1)
          AND NOT EXISTS (SELECT FROM approval WHERE approval.id = audit.approval_id)
        ORDER BY approval_id, seq LIMIT 1
        """,
        approval_id,
    )


async def first_lost(tx: Connection, *, approval_id: int | None) -> Record | None:
    """The first row that an anchor holds and that is not there as it was then, or whose anchor is gone."""
    return await tx.fetchrow(
        """
        SELECT anchor, approval_id, seq FROM anchored
        WHERE ($1::bigint IS NULL OR approval_id = $1)
          AND (NOT EXISTS (SELECT FROM audit WHERE audit.approval_id = anchored.approval_id
                               AND audit.seq = anchored.seq AND audit.hash = anchored.head)
               OR NOT EXISTS (SELECT FROM anchor WHERE number = anchored.anchor))
        ORDER BY approval_id, seq LIMIT 1
        """,
        approval_id,
    )


# ---- anchors -------------------------------------------------------------------------------------------------------


async def anchor_is_due(tx: Connection, *, interval_s: float) -> bool:
    """So long after the newest one; before the first, so long after the first approval."""
    due: bool | None = await tx.fetchval(
        """
        SELECT coalesce((SELECT at FROM anchor ORDER BY number DESC LIMIT 1),
                        (SELECT created_at FROM approval ORDER BY id LIMIT 1))
               <= clock_timestamp() - make_interval(secs => $1)
        """,
        interval_s,
    )
    return bool(due)


async def unanchored(tx: Connection) -> list[Head]:
    """As committed now. What commits later is in the next anchor: no row is locked, no vote waits."""
    rows = await tx.fetch(
        """
        SELECT id, audit_seq, audit_head FROM approval
        WHERE NOT EXISTS (SELECT FROM anchored WHERE approval_id = approval.id AND seq = audit_seq) ORDER BY id
        """
    )
    return [Head(approval_id=row["id"], seq=row["audit_seq"], head=row["audit_head"]) for row in rows]


async def newest_anchor(tx: Connection, *, until: datetime | None = None) -> Anchor | None:
    row = await tx.fetchrow(
        """
        SELECT number, at, approvals, prev_hash, hash FROM anchor
        WHERE $1::timestamptz IS NULL OR at < $1 ORDER BY number DESC LIMIT 1
        """,
        until,
    )
    return Anchor(**row) if row else None


async def anchor(tx: Connection, number: int) -> Anchor | None:
    row = await tx.fetchrow("SELECT number, at, approvals, prev_hash, hash FROM anchor WHERE number = $1", number)
    return Anchor(**row) if row else None


async def insert_anchor(tx: Connection, new: Anchor, heads: Sequence[Head]) -> None:
    await tx.execute(
        "INSERT INTO anchor (number, at, approvals, prev_hash, hash) VALUES ($1, $2, $3, $4, $5)",
        *(new.number, new.at, new.approvals, new.prev_hash, new.hash),
    )
    await tx.execute(
        """
        INSERT INTO anchored (anchor, approval_id, seq, head)
        SELECT $1, * FROM unnest($2::bigint[], $3::integer[], $4::text[])
        """,
        new.number,
        [head.approval_id for head in heads],
        [head.seq for head in heads],
        [head.head for head in heads],
    )


async def anchors(tx: Connection, *, before: int | None, limit: int) -> list[Anchor]:
    """Newest first; `before` is the number to go on from."""
    rows = await tx.fetch(
        """
        SELECT number, at, approvals, prev_hash, hash FROM anchor
        WHERE $1::bigint IS NULL OR number < $1 ORDER BY number DESC LIMIT $2
        """,
        before,
        limit,
    )
    return [Anchor(**row) for row in rows]


async def anchors_after(tx: Connection, number: int, *, limit: int) -> list[Anchor]:
    """In their order."""
    rows = await tx.fetch(
        """
        SELECT number, at, approvals, prev_hash, hash FROM anchor WHERE number > $1 ORDER BY number LIMIT $2
        """,
        number,
        limit,
    )
    return [Anchor(**row) for row in rows]


async def heads_of(tx: Connection, number: int) -> list[Head]:
    rows = await tx.fetch("SELECT approval_id, seq, head FROM anchored WHERE anchor = $1 ORDER BY approval_id", number)
    return [Head(**row) for row in rows]


# ---- checks --------------------------------------------------------------------------------------------------------


async def note_check(tx: Connection, *, rows: int, problem: str) -> None:
    """Where the service finds it for its metrics."""
    await tx.execute("INSERT INTO audit_check (rows, problem) VALUES ($1, $2)", rows, problem)


async def count(tx: Connection) -> int:
    found: int = await tx.fetchval("SELECT count(*) FROM audit")
    return found


# ---- reading -------------------------------------------------------------------------------------------------------


def rows(tx: Connection, *, approval_id: int | None, since: datetime | None) -> AsyncIterable[Record]:
    """Approval by approval."""
    return tx.cursor(
        """
        SELECT public_id::text, audit.* FROM audit JOIN approval ON approval.id = audit.approval_id
        WHERE ($1::bigint IS NULL OR approval_id = $1) AND ($2::timestamptz IS NULL OR at >= $2)
        ORDER BY approval_id, seq
        """,
        approval_id,
        since,
        prefetch=PREFETCH,
    )


async def page(tx: Connection, *, after: tuple[datetime, int, int], limit: int) -> list[Record]:
    """In the order of time, behind the row with this time, approval and number."""
    return await tx.fetch(
        """
        SELECT public_id::text, audit.* FROM audit JOIN approval ON approval.id = audit.approval_id
        WHERE (at, approval_id, seq) > ($1, $2, $3) ORDER BY at, approval_id, seq LIMIT $4
        """,
        *after,
        limit,
    )


async def page_of(tx: Connection, approval_id: int, *, after: tuple[datetime, int, int], limit: int) -> list[Record]:
    """The same of one approval."""
    return await tx.fetch(
        """
        SELECT public_id::text, audit.* FROM audit JOIN approval ON approval.id = audit.approval_id
        WHERE approval_id = $1 AND (at, approval_id, seq) > ($2, $3, $4) ORDER BY at, approval_id, seq LIMIT $5
        """,
        approval_id,
        *after,
        limit,
    )
