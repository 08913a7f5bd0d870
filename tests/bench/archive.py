"""normalizer's archive: one statement per table and batch, against one per delivery. Embedded PostgreSQL, fsync on."""

import hashlib
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from em.demo.story import tell
from em.embedded import embedded_postgres
from normalizer import store
from normalizer.disposition import Disposition
from normalizer.translation import translate
from shared.contracts.envelope import RawDelivery
from shared.contracts.services import NORMALIZER
from shared.db.migrate import bootstrap, migrate
from shared.db.pool import server_settings

DELIVERIES = 2000
BATCH = 200


async def measure() -> dict[str, float]:
    deliveries = _translated()
    with tempfile.TemporaryDirectory(prefix="em-bench-") as directory:
        Path(directory).chmod(0o755)
        async with embedded_postgres(Path(directory) / "pg") as server:
            await bootstrap(server.dsn, progress=lambda _: None)
            await migrate(server.dsn, progress=lambda _: None)
            single_s = await _archive(server.dsn, deliveries, batch=1)
            batched_s = await _archive(server.dsn, deliveries, batch=BATCH)
    return {
        "deliveries": len(deliveries),
        "one_per_transaction_per_s": round(len(deliveries) / single_s),
        f"batches_of_{BATCH}_per_s": round(len(deliveries) / batched_s),
        "batched_to_single": round(single_s / batched_s, 1),
    }


def _translated() -> list[tuple[RawDelivery, Disposition]]:
    told = [d for d in tell(1, datetime.now(UTC)).deliveries if d.source == "github"][:DELIVERIES]
    found = [
        RawDelivery(
            source=d.source,
            event=d.event,
            delivery=d.delivery_id,
            sha256=hashlib.sha256(d.body).hexdigest(),
            received_at=d.occurred_at,
            body=d.body,
        )
        for d in told
    ]
    return [(delivery, translate(delivery)) for delivery in found]


async def _archive(dsn: str, deliveries: list[tuple[RawDelivery, Disposition]], *, batch: int) -> float:
    connection = await asyncpg.connect(dsn, server_settings=server_settings(NORMALIZER))
    started = time.perf_counter()
    for first in range(0, len(deliveries), batch):
        async with connection.transaction():
            await store.archive(connection, deliveries[first : first + batch])
    took = time.perf_counter() - started
    await connection.close()
    owner = await asyncpg.connect(dsn)
    await owner.execute("TRUNCATE normalizer.delivery, normalizer.body")
    await owner.close()
    return took
