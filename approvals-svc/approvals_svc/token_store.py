"""SQL of sessions and logins. Times are the database's: replicas must agree on them."""

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from shared.db import Connection


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """`credential`: hash of what its account logged in with. `is_over`: expired or revoked."""

    account: str
    credential: bytes
    refresh_hash: bytes
    is_over: bool


async def start_session(
    tx: Connection, session_id: UUID, *, account: str, credential: bytes, refresh_hash: bytes, lifetime: timedelta
) -> None:
    await tx.execute(
        """
        INSERT INTO session (id, account, credential, refresh_hash, started_at, expires_at)
        VALUES ($1, $2, $3, $4, clock_timestamp(), clock_timestamp() + $5)
        """,
        session_id,
        account,
        credential,
        refresh_hash,
        lifetime,
    )


async def lock_session(tx: Connection, session_id: UUID) -> Session | None:
    """Of several that refresh at once, the others wait here and see what the first one did."""
    row = await tx.fetchrow(
        """
        SELECT account, credential, refresh_hash,
               revoked_at IS NOT NULL OR expires_at <= clock_timestamp() AS is_over
        FROM session WHERE id = $1 FOR UPDATE
        """,
        session_id,
    )
    return Session(**row) if row else None


async def rotate(tx: Connection, session_id: UUID, *, refresh_hash: bytes, lifetime: timedelta) -> None:
    await tx.execute(
        "UPDATE session SET refresh_hash = $2, expires_at = clock_timestamp() + $3 WHERE id = $1",
        session_id,
        refresh_hash,
        lifetime,
    )


async def revoke(tx: Connection, session_id: UUID) -> None:
    await tx.execute("UPDATE session SET revoked_at = clock_timestamp() WHERE id = $1", session_id)


async def note_attempt(tx: Connection, account_hash: bytes, *, attempts_max: int, within: timedelta) -> datetime | None:
    """When it was; None: there were too many. One statement, so that tries at once can't all find room."""
    moment: datetime | None = await tx.fetchval(
        """
        INSERT INTO login_attempt AS known (account_hash, tried_at, last_at)
        SELECT $1, ARRAY[now], now FROM (SELECT clock_timestamp() AS now) AS clock
        ON CONFLICT (account_hash) DO UPDATE SET
            last_at = excluded.last_at,
            tried_at = excluded.tried_at || ARRAY(SELECT t FROM unnest(known.tried_at) AS t
                                                  WHERE t > clock_timestamp() - $3::interval)
        WHERE (SELECT count(*) FROM unnest(known.tried_at) AS t WHERE t > clock_timestamp() - $3::interval) < $2
        RETURNING last_at
        """,
        account_hash,
        attempts_max,
        within,
    )
    return moment


async def forgive_attempt(tx: Connection, account_hash: bytes, *, tried_at: datetime) -> None:
    await tx.execute(
        "UPDATE login_attempt SET tried_at = array_remove(tried_at, $2) WHERE account_hash = $1", account_hash, tried_at
    )


async def forget(tx: Connection, *, attempts_older: timedelta, limit: int) -> int:
    """Sessions that are over and old tries; how many of each at most."""
    return sum(
        [
            int((await tx.execute(statement, *arguments)).split()[-1])
            for statement, arguments in (
                (
                    """
                    DELETE FROM session WHERE id IN (SELECT id FROM session WHERE expires_at < clock_timestamp()
                                                     LIMIT $1 FOR UPDATE SKIP LOCKED)
                    """,
                    (limit,),
                ),
                (
                    """
                    DELETE FROM login_attempt WHERE account_hash IN (
                        SELECT account_hash FROM login_attempt WHERE last_at < clock_timestamp() - $2::interval
                        LIMIT $1 FOR UPDATE SKIP LOCKED)
                    """,
                    (limit, attempts_older),
                ),
            )
        ]
    )
