"""Approvals about which OPA has yet to be asked."""

import msgspec

from approvals_svc.policy import Requirement
from shared.db import Connection


async def add(tx: Connection, approval_id: int) -> None:
    await tx.execute("INSERT INTO opa_question (approval_id) VALUES ($1)", approval_id)


async def lease(tx: Connection, *, limit: int, lease_s: float) -> list[int]:
    """The oldest that nobody is asking about."""
    rows = await tx.fetch(
        """
        UPDATE opa_question SET due_at = clock_timestamp() + make_interval(secs => $2)
        WHERE approval_id IN (SELECT approval_id FROM opa_question WHERE due_at <= clock_timestamp()
                              ORDER BY due_at, approval_id LIMIT $1 FOR UPDATE SKIP LOCKED)
        RETURNING approval_id
        """,
        *(limit, lease_s),
    )
    return [row["approval_id"] for row in rows]


async def is_open(tx: Connection, approval_id: int) -> bool:
    return bool(await tx.fetchval("SELECT true FROM opa_question WHERE approval_id = $1", approval_id))


async def close(tx: Connection, approval_id: int) -> bool:
    """False: it was answered before."""
    return bool(await tx.fetchval("DELETE FROM opa_question WHERE approval_id = $1 RETURNING true", approval_id))


async def store_trace(tx: Connection, approval_id: int, requirement: Requirement) -> None:
    """Under the approval's lock."""
    content = msgspec.json.encode(requirement).decode()
    await tx.execute("UPDATE approval SET requirement = $2::jsonb WHERE id = $1", approval_id, content)
