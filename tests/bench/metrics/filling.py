"""Databases with a history: a block of it through the handlers, the others as its copies, set by set."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import asyncpg

from metrics_svc.facts import Fact
from metrics_svc.handlers import Facts
from metrics_svc.rebuild import DERIVED
from shared.catalog import Catalog
from shared.contracts.services import METRICS_SVC
from shared.db.catalogs import Pinned
from shared.db.migrate import bootstrap, migrate
from shared.db.pool import server_settings
from tests.bench.machine import BUILD
from tests.bench.metrics.shape import Shape

BATCH = 200
FACTS = ("change", "commit", "review", "deployment", "incident", "incident_transition")
# What is not the next block's under the same name; times are moved by their type.
_SHAS = ("sha", "head_sha", "merge_sha", "commit_sha")
_NAMED = {
    "change": ("id", "head_ref"),
    "commit": (),
    "review": ("change", "id"),
    "deployment": ("id", "deployment_id"),
    "incident": ("id", "incident_id"),
    "incident_transition": ("incident",),
}
# Derived state: these with their indexes, and what they were before.
KEPT = (*DERIVED, "bucket", *(f"{name}_past" for name in ("production_deployment", "change_link", "incident_link")))
KEPT = (*KEPT, "bucket_past")


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """The owner's, in the schema of metrics-svc."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": f"{METRICS_SVC.schema},extensions"})
    try:
        yield connection
    finally:
        await connection.close()


async def make_database(dsn: str, name: str, *, template: str = "") -> str:
    """Its URL; empty, but for the tables, or a copy of another one."""
    async with connected(dsn) as owner:
        await owner.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {template}" if template else ""))
    made = urlsplit(dsn)._replace(path=f"/{name}").geturl()
    if not template:
        await bootstrap(made, progress=lambda _: None)
        await migrate(made, progress=lambda _: None)
    return made


async def drop_database(dsn: str, name: str) -> None:
    async with connected(dsn) as owner:
        await owner.execute(f"DROP DATABASE {name}")


async def handle(dsn: str, events: Sequence[Fact]) -> None:
    """As metrics-svc does, batch by batch."""
    connection = await asyncpg.connect(dsn, server_settings=server_settings(METRICS_SVC))
    facts = Facts(Pinned(Catalog()))
    try:
        for first in range(0, len(events), BATCH):
            async with connection.transaction():
                await facts.on_facts(events[first : first + BATCH], connection)
    finally:
        await connection.close()


async def multiply(dsn: str, shape: Shape, *, blocks: int) -> None:
    """The facts of block 0 once more for each of the blocks 1 to `blocks` - 1: what `Shape.events` would tell."""
    async with connected(dsn) as owner:
        for table in FACTS:
            rows = await owner.fetch(
                """
                SELECT attname, atttypid = 'timestamptz'::regtype AS is_time FROM pg_attribute
                WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
                """,
                table,
            )
            names = ", ".join(row["attname"] for row in rows)
            moved = ", ".join(_moved(table, row["attname"], row["is_time"]) for row in rows)
            await owner.execute(
                f"INSERT INTO {table} ({names}) SELECT {moved}"
                f" FROM (SELECT * FROM {table}) AS t, generate_series(1, {blocks - 1}) AS block".format(
                    seconds=int(shape.span.total_seconds()), changes=shape.changes
                )
            )
        await owner.execute("VACUUM ANALYZE")


def _moved(table: str, column: str, is_time: bool) -> str:
    if is_time:
        return f"t.{column} + block * interval '{{seconds}} seconds'"
    if column in _SHAS:
        return f"overlay(t.{column} PLACING lpad(to_hex(block), 4, '0') FROM 1 FOR 4)"
    if column in _NAMED[table]:
        return f"t.{column} || '-' || block"
    if (table, column) == ("change", "number"):
        return f"t.{column} + block * {{changes}}"
    if (table, column) == ("commit", "position"):
        return f"t.{column} + block * {{seconds}}::bigint * 10000"
    if (table, column) == ("commit", "branch"):
        return f"CASE WHEN t.on_default THEN t.{column} ELSE t.{column} || '-' || block END"
    return f"t.{column}"


async def rebuild(dsn: str) -> float:
    """Seconds of `em rebuild metrics-svc --derived`, as typed in a shell."""
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "em", "rebuild", "metrics-svc", "--derived"),
        env={"PATH": os.environ["PATH"], "DATABASE_URL": dsn, "EM_HOME": str(BUILD / "em")},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"em rebuild: {err.decode()[-2000:]}")
    return time.perf_counter() - started


async def remember(dsn: str) -> None:
    """What was known before: changes until they were deployed, deployments until they failed, open incidents."""
    async with connected(dsn) as owner, owner.transaction():
        await owner.execute("SET LOCAL session_replication_role = replica")  # what is written is the past itself
        for statement in _PAST:
            await owner.execute(statement)
    async with connected(dsn) as owner:
        await owner.execute("VACUUM ANALYZE")


_PAST = (
    "UPDATE change_link SET known_from = coalesce(deployed_at, merged_at)",
    """
    INSERT INTO change_link_past SELECT l.known_from, (was.row).* FROM change_link l
    CROSS JOIN LATERAL (
        SELECT jsonb_populate_record(l, jsonb_build_object('deployment', NULL, 'deployed_at', NULL,
            'lead_time_s', NULL, 'method', 'unlinked', 'confidence', 0, 'known_from', l.merged_at)) AS row
    ) AS was WHERE l.deployment IS NOT NULL
    """,
    """
    UPDATE production_deployment SET known_from = coalesce(recovered_at, finished_at + interval '20 minutes')
    WHERE failed
    """,
    "UPDATE production_deployment SET known_from = finished_at WHERE NOT failed",
    """
    INSERT INTO production_deployment_past SELECT d.known_from, (was.row).* FROM production_deployment d
    CROSS JOIN LATERAL (
        SELECT jsonb_populate_record(d, jsonb_build_object('failed', false, 'failed_because', '[]'::jsonb,
            'recovered_at', NULL, 'known_from', d.finished_at)) AS row
    ) AS was WHERE d.failed
    """,
    "UPDATE incident_link SET known_from = coalesce(resolved_at, opened_at)",
    """
    INSERT INTO incident_link_past SELECT i.known_from, (was.row).* FROM incident_link i
    CROSS JOIN LATERAL (
        SELECT jsonb_populate_record(i, jsonb_build_object('resolved_at', NULL, 'known_from', i.opened_at)) AS row
    ) AS was WHERE i.resolved_at IS NOT NULL
    """,
)


async def derived_bytes(dsn: str) -> dict[str, int]:
    """By table, with indexes."""
    async with connected(dsn) as owner:
        return {table: await owner.fetchval("SELECT pg_total_relation_size($1::regclass)", table) for table in KEPT}


def started_at(shape: Shape, blocks: int) -> datetime:
    """So that the last of the blocks ends now, but for an hour in which its last incidents open and end."""
    ends = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=6)
    return ends - blocks * shape.span
