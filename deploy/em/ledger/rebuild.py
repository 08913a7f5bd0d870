"""A rebuild of metrics-svc: shadow tables, the archive said again, and the swap in one transaction."""

import msgspec

from em.ledger import letters
from metrics_svc.rebuild import LOCK, PROJECTION, SHADOW
from shared.bus import Bus
from shared.contracts.services import METRICS_SVC
from shared.contracts.streams import METRICS_REPLAY
from shared.db import Connection

LIVE = METRICS_SVC.schema
PURGED = f"replay.{METRICS_SVC.name}.>"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """`total` is the newest delivery of the archive now: `archive_id` goes towards it."""

    job: int
    state: str
    archive_id: int
    total: int
    events: int
    untranslatable: int


async def begin(bus: Bus, tx: Connection) -> None:
    """Empty shadow tables with the service's rights on them, and a job for normalizer. What earlier jobs said goes."""
    await bus.js.purge_stream(bus.subjects.stream(METRICS_REPLAY.stream), subject=bus.subjects.pattern(PURGED))
    async with tx.transaction():
        await tx.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        await tx.execute(f"CREATE SCHEMA {SHADOW}")
        for table in PROJECTION:
            await tx.execute(f"CREATE TABLE {SHADOW}.{table} (LIKE {LIVE}.{table} INCLUDING ALL)")
        await tx.execute(f"GRANT USAGE ON SCHEMA {SHADOW} TO {METRICS_SVC.name}")
        await tx.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SHADOW} TO {METRICS_SVC.name}")
        for table in ("inbox", "attempt", "waiting"):
            await tx.execute(
                f"DELETE FROM {LIVE}.{table} WHERE consumer = $1",  # noqa: S608  # constants
                METRICS_REPLAY.label,
            )
        await tx.execute("INSERT INTO normalizer.rebuild (service) VALUES ($1)", METRICS_SVC.name)


async def current(tx: Connection) -> Job | None:
    """The job under way, if there is one."""
    row = await tx.fetchrow(
        """
        SELECT job, state, archive_id, events, untranslatable,
               coalesce((SELECT max(id) FROM normalizer.delivery), 0) AS total
        FROM normalizer.rebuild WHERE service = $1 AND state IN ('running', 'said')
        """,
        METRICS_SVC.name,
    )
    return Job(**row) if row else None


async def bodies_gone(tx: Connection) -> int:
    """Deliveries that caused events and can't be translated again: their facts would vanish."""
    gone: int = await tx.fetchval(
        """
        SELECT count(*) FROM normalizer.delivery WHERE disposition = 'events' AND NOT EXISTS (
            SELECT FROM normalizer.body WHERE body.received_at = delivery.received_at
               AND body.delivery_id = delivery.id AND body.body IS NOT NULL)
        """
    )
    return gone


async def left(bus: Bus, tx: Connection) -> int:
    """What metrics-svc has still to take of what was said."""
    info = await bus.js.consumer_info(bus.subjects.stream(METRICS_REPLAY.stream), METRICS_REPLAY.name)
    waiting: int = await tx.fetchval(f"SELECT count(*) FROM {LIVE}.waiting WHERE consumer = $1", METRICS_REPLAY.label)  # noqa: S608  # a constant
    return (info.num_pending or 0) + (info.num_ack_pending or 0) + waiting


async def refused(bus: Bus, tx: Connection, job: Job) -> int:
    """Dead letters of this job: the shadow lacks them."""
    begun_at = await tx.fetchval("SELECT begun_at FROM normalizer.rebuild WHERE job = $1", job.job)
    wanted = letters.Wanted(service=METRICS_SVC.name, since=begun_at)
    return sum([letter.stream == METRICS_REPLAY.stream async for letter in letters.newest_first(bus, wanted)])


async def swap(tx: Connection, job: Job) -> None:
    """Readers see what was, or what is: never half of it."""
    async with tx.transaction():
        await tx.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        newest = f"SELECT coalesce(max(number), 0)::text FROM {LIVE}.catalog_version"  # noqa: S608  # a constant
        await tx.execute(f"SELECT set_config('em.catalog_version', ({newest}), true)")
        for table in PROJECTION:
            await tx.execute(f"DELETE FROM {LIVE}.{table}")  # noqa: S608  # constants
            await tx.execute(f"INSERT INTO {LIVE}.{table} SELECT * FROM {SHADOW}.{table}")  # noqa: S608
        await _drop(tx, job, "done")


async def abandon(tx: Connection, job: Job) -> None:
    """What is served stays as it is."""
    async with tx.transaction():
        await tx.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        await _drop(tx, job, "abandoned")


async def _drop(tx: Connection, job: Job, state: str) -> None:
    await tx.execute(f"DROP SCHEMA {SHADOW} CASCADE")
    await tx.execute("UPDATE normalizer.rebuild SET state = $2 WHERE job = $1", job.job, state)
