"""SQL of the reports: which pending gates changed since somebody looked, and what was told of them."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from approvals_svc import store
from approvals_svc.model import Approval
from shared.db import Connection


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    approval: Approval
    told: tuple[str, ...]
    is_reminded: bool


async def lock_changed(tx: Connection, *, source: str, action: str, limit: int) -> list[Changed]:
    """Pending ones that changed, whose time it is, and that nobody holds: a vote is never waited for."""
    rows = await tx.fetch(
        """
        SELECT id, reports,
               EXISTS (SELECT 1 FROM deadline d
                       WHERE d.approval_id = a.id AND d.kind = 'remind' AND d.fired_at IS NOT NULL) AS is_reminded
        FROM approval a
        WHERE status = 'pending' AND reported_version < version AND report_at <= clock_timestamp()
          AND source = $1 AND action = $2
        ORDER BY report_at LIMIT $3 FOR UPDATE SKIP LOCKED
        """,
        source,
        action,
        limit,
    )
    return [
        Changed(approval=found, told=tuple(row["reports"]), is_reminded=row["is_reminded"])
        for row in rows
        if (found := await store.lock_approval(tx, row["id"]))
    ]


async def note_told(tx: Connection, approval: Approval, told: Sequence[str]) -> None:
    """Before it is sent: better never told than told too often."""
    await tx.execute(
        "UPDATE approval SET reported_version = $2, reports = reports || $3::text[] WHERE id = $1",
        approval.id,
        approval.version,
        list(told),
    )


async def take_back(tx: Connection, approval_id: int, told: Sequence[str], *, instead: str, again_at: datetime) -> None:
    """It may not have arrived, and will be told anew."""
    await tx.execute(
        """
        UPDATE approval SET reported_version = 0, report_at = $4,
            reports = array_append(ARRAY(SELECT unnest(reports) EXCEPT ALL SELECT unnest($2::text[])), $3)
        WHERE id = $1
        """,
        approval_id,
        list(told),
        instead,
        again_at,
    )
