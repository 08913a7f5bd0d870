"""All SQL of which lists a model is asked about."""

from collections.abc import Sequence

from shared.db import Connection


async def want(tx: Connection, things: Sequence[str]) -> None:
    await tx.execute("INSERT INTO prose (thing) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", list(things))


async def claim(tx: Connection) -> str | None:
    """The next of the last hour that people see, for the one process that is to ask, and once."""
    thing: str | None = await tx.fetchval(
        """
        UPDATE prose SET asked_at = now() WHERE thing = (
            SELECT prose.thing FROM prose JOIN message ON message.thing = prose.thing
            WHERE asked_at IS NULL AND wanted_at > now() - interval '1 hour' AND state = 'shown'
            ORDER BY wanted_at, prose.thing LIMIT 1 FOR UPDATE OF prose SKIP LOCKED
        ) RETURNING thing
        """
    )
    return thing


async def end(tx: Connection, thing: str, *, reason: str) -> None:
    """`reason`: why nothing is shown; empty where it is."""
    await tx.execute("UPDATE prose SET ended_at = now(), reason = $2 WHERE thing = $1", thing, reason)
