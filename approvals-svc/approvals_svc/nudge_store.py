"""All SQL about messages that notifier is asked for."""

from collections.abc import Sequence

from asyncpg import Record

from shared.contracts.events import MessageSettled
from shared.db import Connection

STATES = frozenset({"shown", "dry_run", "dead", "held"})


async def ask(tx: Connection, nudge_id: str) -> bool:
    """False: it was asked for before."""
    asked = await tx.fetchval("INSERT INTO nudge (id) VALUES ($1) ON CONFLICT DO NOTHING RETURNING true", nudge_id)
    return bool(asked)


async def settle(tx: Connection, told: Sequence[MessageSettled]) -> None:
    """A word that only a newer notifier knows says nothing."""
    await tx.executemany(
        "UPDATE nudge SET state = $2, channel = $3, reason = $4 WHERE id = $1",
        [(each.nudge, each.state, each.channel, each.reason) for each in told if each.state in STATES],
    )


async def settled(tx: Connection, nudge_id: str) -> Record | None:
    return await tx.fetchrow("SELECT state, channel, reason FROM nudge WHERE id = $1 AND state <> 'asked'", nudge_id)
