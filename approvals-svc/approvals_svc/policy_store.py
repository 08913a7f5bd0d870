"""SQL of the policy's versions."""

from datetime import datetime

import msgspec

from shared.db import Connection


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A version as it was loaded; `content` is the file."""

    number: int
    sha256: str
    loaded_at: datetime
    content: str


async def versions(tx: Connection, *, before: int | None, limit: int) -> list[Loaded]:
    """Newest first."""
    rows = await tx.fetch(
        """
        SELECT number, sha256, loaded_at, content FROM policy_version
        WHERE ($1::bigint IS NULL OR number < $1) ORDER BY number DESC LIMIT $2
        """,
        before,
        limit,
    )
    return [Loaded(**row) for row in rows]


async def version(tx: Connection, number: int) -> Loaded | None:
    row = await tx.fetchrow("SELECT number, sha256, loaded_at, content FROM policy_version WHERE number = $1", number)
    return Loaded(**row) if row else None
