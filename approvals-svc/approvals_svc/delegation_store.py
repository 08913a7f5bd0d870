"""SQL of delegations."""

from asyncpg import Record

from approvals_svc.delegation import Delegation, Wish
from shared.db import Connection


async def valid(tx: Connection) -> tuple[Delegation, ...]:
    """Those that hold at this moment by the database's clock: asked under an approval's lock, its vote's moment."""
    rows = await tx.fetch(
        """
        SELECT * FROM delegation WHERE revoked_at IS NULL AND ends_at > clock_timestamp()
            AND starts_at <= clock_timestamp() ORDER BY id
        """
    )
    return tuple(map(_delegation, rows))


async def to_come(tx: Connection) -> tuple[Delegation, ...]:
    """Those that hold, and those that will."""
    rows = await tx.fetch(
        "SELECT * FROM delegation WHERE revoked_at IS NULL AND ends_at > clock_timestamp() ORDER BY id"
    )
    return tuple(map(_delegation, rows))


async def give(tx: Connection, wish: Wish) -> Delegation:
    [row] = await tx.fetch(
        """
        INSERT INTO delegation (giver, delegate, groups, services, starts_at, ends_at)
        VALUES ($1, $2, $3, $4, $5, $6) RETURNING *
        """,
        *(wish.giver, wish.delegate, list(wish.groups), list(wish.services), wish.starts_at, wish.ends_at),
    )
    return _delegation(row)


async def revoke(tx: Connection, number: int, *, by: str, is_admin: bool) -> Delegation | None:
    """None: there is none that isn't over, or it is somebody else's."""
    row = await tx.fetchrow(
        """
        UPDATE delegation SET revoked_at = clock_timestamp(), revoked_by = $2
        WHERE id = $1 AND (giver = $2 OR $3) AND revoked_at IS NULL AND ends_at > clock_timestamp() RETURNING *
        """,
        *(number, by, is_admin),
    )
    return _delegation(row) if row else None


def _delegation(row: Record) -> Delegation:
    return Delegation(
        id=row["id"],
        giver=row["giver"],
        delegate=row["delegate"],
        groups=tuple(row["groups"]),
        services=tuple(row["services"]),
        starts_at=row["starts_at"],
        ends_at=row["ends_at"],
    )
