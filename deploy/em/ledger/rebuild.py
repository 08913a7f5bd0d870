"""A rebuild of metrics-svc: shadow tables, the archive said again, and the swap in one transaction."""

from collections.abc import Sequence

import msgspec

from em.ledger import letters
from metrics_svc.rebuild import DERIVED, LOCK, PROJECTION, SHADOW
from metrics_svc.store import buckets
from shared.bus import Bus
from shared.bus.browse import unacknowledged
from shared.contracts.services import METRICS_SVC
from shared.contracts.streams import METRICS_REPLAY
from shared.db import Connection

LIVE = METRICS_SVC.schema
# Triggers of the served tables set these: a row that differs in them alone says nothing else.
STAMPED = ("known_from", "catalog_version")
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
    """Empty shadow tables with the service's rights on them, and a job for normalizer. What earlier jobs said goes.

    Does nothing where a job is under way.
    """
    async with tx.transaction():
        await tx.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        if await current(tx):
            return
        await bus.js.purge_stream(bus.subjects.stream(METRICS_REPLAY.stream), subject=bus.subjects.pattern(PURGED))
        await _make_shadow(tx, PROJECTION)
        for table in ("inbox", "attempt", "waiting"):
            await tx.execute(
                f"DELETE FROM {LIVE}.{table} WHERE consumer = $1",  # noqa: S608  # constants
                METRICS_REPLAY.label,
            )
        await tx.execute("INSERT INTO normalizer.rebuild (service) VALUES ($1)", METRICS_SVC.name)


async def begin_derived(tx: Connection) -> bool:
    """Empty tables for what follows from the facts; False where the archive is being translated again."""
    async with tx.transaction():
        await tx.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        if await current(tx):
            return False
        await tx.execute(f"DROP SCHEMA IF EXISTS {SHADOW} CASCADE")  # of one that was interrupted
        await _make_shadow(tx, DERIVED)
    return True


async def analyze_derived(tx: Connection) -> None:
    """A new table has no statistics: what reads it is planned as if it were empty."""
    for table in DERIVED:
        await tx.execute(f"ANALYZE {SHADOW}.{table}")


async def swap_derived(tx: Connection) -> None:
    async with tx.transaction():
        await tx.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
        await _swap(tx, DERIVED)


async def _make_shadow(tx: Connection, tables: Sequence[str]) -> None:
    await tx.execute(f"CREATE SCHEMA {SHADOW}")
    for table in tables:
        await tx.execute(f"CREATE TABLE {SHADOW}.{table} (LIKE {LIVE}.{table} INCLUDING ALL)")
    await tx.execute(f"GRANT USAGE ON SCHEMA {SHADOW} TO {METRICS_SVC.name}")
    await tx.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SHADOW} TO {METRICS_SVC.name}")


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


async def on_the_way(bus: Bus) -> int:
    """What REPLAY holds that metrics-svc has not acknowledged."""
    return await unacknowledged(bus.js, bus.subjects, METRICS_REPLAY)


async def left(bus: Bus, tx: Connection) -> int:
    """What metrics-svc has still to take of what was said. The stream first: what leaves it may wait afterwards."""
    coming = await on_the_way(bus)
    waiting: int = await tx.fetchval(f"SELECT count(*) FROM {LIVE}.waiting WHERE consumer = $1", METRICS_REPLAY.label)  # noqa: S608  # a constant
    return coming + waiting


async def make_room(bus: Bus) -> None:
    """What was taken goes: REPLAY refuses what it has no room for, and an archive may be larger than that."""
    stream = bus.subjects.stream(METRICS_REPLAY.stream)
    info = await bus.js.consumer_info(stream, METRICS_REPLAY.name)
    if info.ack_floor and info.ack_floor.stream_seq:
        behind = info.ack_floor.stream_seq + 1
        await bus.js.purge_stream(stream, seq=behind, subject=bus.subjects.pattern(PURGED))


async def untaken(tx: Connection, job: Job) -> int:
    """Events that were said, and that the inbox does not know: the shadow lacks them."""
    taken: int = await tx.fetchval(f"SELECT count(*) FROM {LIVE}.inbox WHERE consumer = $1", METRICS_REPLAY.label)  # noqa: S608  # a constant
    return job.events - taken


async def refused(bus: Bus, tx: Connection, job: Job) -> int:
    """Dead letters of this job."""
    begun_at = await tx.fetchval("SELECT begun_at FROM normalizer.rebuild WHERE job = $1", job.job)
    wanted = letters.Wanted(service=METRICS_SVC.name, since=begun_at)
    return sum([letter.stream == METRICS_REPLAY.stream async for letter in letters.newest_first(bus, wanted)])


async def swap(tx: Connection, job: Job) -> bool:
    """Readers see what was, or what is: never half of it. False: the job was ended by somebody else meanwhile."""
    async with tx.transaction():
        if not await _end(tx, job, "done"):
            return False
        await _swap(tx, PROJECTION)
    return True


async def _swap(tx: Connection, tables: Sequence[str]) -> None:
    newest = f"SELECT coalesce(max(number), 0)::text FROM {LIVE}.catalog_version"  # noqa: S608  # a constant
    await tx.execute(f"SELECT set_config('em.catalog_version', ({newest}), true)")
    for table in tables:
        await _replace(tx, table)
    await tx.execute(f"SET LOCAL search_path = {LIVE}")
    await buckets.refresh_all(tx)
    await tx.execute(f"DROP SCHEMA {SHADOW} CASCADE")


async def _replace(tx: Connection, table: str) -> None:
    """A row that is the same stays, where it is remembered since when it was known: it is not even written again."""
    served, built = f"{LIVE}.{table}", f"{SHADOW}.{table}"
    key = await tx.fetchval(
        """
        SELECT array_agg(quote_ident(attname) ORDER BY attnum) FROM pg_index
        JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)
        WHERE indrelid = to_regclass($1) AND indisprimary
        """,
        served,
    )
    columns = await tx.fetchval(
        """
        SELECT array_agg(quote_ident(attname) ORDER BY attnum) FROM pg_attribute
        WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
        """,
        served,
    )
    told = [column for column in columns if column not in STAMPED]
    same = f"{_row('l', key)} = {_row('s', key)}"
    equal = f"{same} AND {_row('l', told)} IS NOT DISTINCT FROM {_row('s', told)}"
    if "catalog_version" in columns:
        equal += " AND l.catalog_version = current_setting('em.catalog_version')::bigint"
    await tx.execute(f"ANALYZE {built}")
    # An anti-join: the list of a NOT IN that outgrows work_mem is read once per row.
    await tx.execute(
        f"DELETE FROM {served} l WHERE NOT EXISTS (SELECT FROM {built} s WHERE {same})"  # noqa: S608  # the catalogue's own names
    )
    await tx.execute(
        f"INSERT INTO {served} SELECT * FROM {built} s"  # noqa: S608
        f" WHERE NOT EXISTS (SELECT FROM {served} l WHERE {equal})"
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET ({', '.join(columns)}) = ROW(excluded.*)"
    )


def _row(alias: str, columns: Sequence[str]) -> str:
    return f"ROW({', '.join(f'{alias}.{column}' for column in columns)})"


async def abandon(tx: Connection, job: Job) -> bool:
    """What is served stays as it is. False: the job was ended by somebody else meanwhile."""
    async with tx.transaction():
        if not await _end(tx, job, "abandoned"):
            return False
        await tx.execute(f"DROP SCHEMA {SHADOW} CASCADE")
    return True


async def _end(tx: Connection, job: Job, state: str) -> bool:
    """Under the lock until the transaction ends: nobody's batch is between its look at the shadow and its commit."""
    await tx.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
    return bool(
        await tx.fetchval(
            "UPDATE normalizer.rebuild SET state = $2 WHERE job = $1 AND state IN ('running', 'said') RETURNING true",
            job.job,
            state,
        )
    )
