"""All SQL about effects as people see them: jobs."""

from collections.abc import Collection, Sequence

from asyncpg import Record

from shared.db import Connection


async def jobs(
    tx: Connection, *, kinds: Sequence[str], before: int | None, limit: int, hidden: Collection[str]
) -> list[Record]:
    """Newest first; those of hidden services are not there."""
    return await tx.fetch(
        """
        SELECT effect.id, approval_id, effect_kind, state, attempts, result, closed_at, decided_at, subject, signal,
               approval.payload
        FROM effect JOIN approval ON approval.id = approval_id
        WHERE effect_kind = ANY($1) AND ($2::bigint IS NULL OR effect.id < $2)
          AND service <> ALL($4::text[]) ORDER BY effect.id DESC LIMIT $3
        """,
        kinds,
        before,
        limit,
        list(hidden),
    )


async def job(tx: Connection, number: int, *, kinds: Sequence[str], hidden: Collection[str]) -> Record | None:
    before = number + 1 if number < 2**63 - 1 else None
    found = await jobs(tx, kinds=kinds, before=before, limit=1, hidden=hidden)
    return found[0] if found and found[0]["id"] == number else None


async def job_of(tx: Connection, approval_id: int, *, kinds: Sequence[str]) -> int | None:
    number: int | None = await tx.fetchval(
        "SELECT id FROM effect WHERE approval_id = $1 AND effect_kind = ANY($2) ORDER BY id DESC LIMIT 1",
        approval_id,
        kinds,
    )
    return number
