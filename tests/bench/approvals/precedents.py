"""Precedents and searches at 100,000 documents: recall of the index, time, leaks; whether like things are found."""

import random
import statistics
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, islice
from pathlib import Path

import asyncpg
import msgspec

from approvals_svc import document_store, library
from approvals_svc.document import Document, Found
from approvals_svc.document_store import Seen
from approvals_svc.embedding import Lexical
from approvals_svc.lexical import vector
from shared.db import Connection
from shared.db.pool import allow_time
from tests.backends import own_database
from tests.deciding import Counter, open_counter
from tests.planted import noise, planted, precision_at_5, question, trigrams

DOCUMENTS = 100_000
PER_FAMILY = 100
QUESTIONS = 300
LEAKS_SOUGHT = 10_000
ENVIRONMENTS = ("production", "production", "production", "staging", "qa")
HIDDEN = tuple(f"service-{n}" for n in range(40))  # a tenth of the noise
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


async def measure(postgres_url: str, directory: Path) -> dict[str, float]:
    directory.mkdir()
    async with own_database(postgres_url) as url, open_counter(url, directory) as counter:
        return _families() | await _documents(counter, url)


async def _documents(counter: Counter, admin_url: str) -> dict[str, float]:
    admin = await asyncpg.connect(admin_url, server_settings={"search_path": "approvals,extensions"})
    await admin.execute("SET maintenance_work_mem = '1GB'")
    rows = planted(seed=1, per_family=PER_FAMILY)
    documents = [row.document for row in rows]
    await _fill(admin, chain(documents, islice(noise(seed=2), DOCUMENTS - len(documents))))
    rng = random.Random(3)
    async with counter.pool.acquire() as tx, tx.transaction():
        await allow_time(tx)
        found = await _index(tx, rng, documents)
        found |= await _searches(tx, rng, documents)
        found["leaks"] = await _leaks(tx, rng)
    await admin.close()
    return found


def _families() -> dict[str, float]:
    rows = planted(seed=1, per_family=30)
    vectors = [vector(row.document) for row in rows]
    grams = [trigrams(row.document.words) for row in rows]
    return {
        "precision5_families": precision_at_5(rows, lambda i, j: _cosine(vectors[i], vectors[j])),
        "precision5_trigrams": precision_at_5(rows, lambda i, j: len(grams[i] & grams[j]) / len(grams[i] | grams[j])),
    }


async def _fill(admin: asyncpg.Connection, documents: Iterator[Document]) -> None:
    """As the service writes them; the index is made afterwards, which takes a tenth of the time."""
    await admin.execute("DROP INDEX document_embedding; TRUNCATE document")
    await admin.execute(
        "CREATE TEMP TABLE copied (n bigint, service text, environment text, fields text, body text, embedding text,"
        " at timestamptz)"
    )
    for first in range(0, DOCUMENTS, 5000):
        batch = list(islice(documents, 5000))
        await admin.copy_records_to_table(
            "copied", records=[_record(first + n, each) for n, each in enumerate(batch)], schema_name="pg_temp"
        )
        await admin.execute(
            "INSERT INTO document (kind, key, services, origin, action, environment, content_hash, fields, body, url,"
            " at, known_at, embedder, embedding)"
            " SELECT 'decision', n::text, ARRAY[service], '', 'deploy', environment, n::text, fields::jsonb, body, '',"
            " at, at, $1, embedding::vector FROM copied",
            Lexical.name,
        )
        await admin.execute("TRUNCATE copied")
    await admin.execute("CREATE INDEX document_embedding ON document USING hnsw (embedding vector_cosine_ops)")
    await admin.execute("VACUUM ANALYZE document")


def _record(number: int, document: Document) -> tuple[object, ...]:
    environment = ENVIRONMENTS[number % len(ENVIRONMENTS)]
    fields = msgspec.structs.replace(document, environment=environment)
    written = msgspec.json.encode(fields).decode()
    embedding = f"[{','.join(map(repr, vector(fields)))}]"
    at = LONG_AGO + timedelta(minutes=number)
    return (number, document.service, environment, written, fields.words, embedding, at)


async def _index(tx: Connection, rng: random.Random, documents: Sequence[Document]) -> dict[str, float]:
    """Against the ten that are nearest of all, under the filters of a question; and how long a question takes."""
    seen = Seen(hidden=HIDDEN, as_of=LONG_AGO + timedelta(minutes=DOCUMENTS * 0.9))
    asked = [*rng.sample(documents, QUESTIONS // 2), *islice(noise(seed=9), QUESTIONS // 2)]
    took, right = [], 0
    for document in asked:
        fields = msgspec.structs.replace(document, environment=rng.choice(ENVIRONMENTS))
        started = time.perf_counter()
        found = await _nearest(tx, fields, seen)
        took.append((time.perf_counter() - started) * 1000)
        right += len({each.id for each in found[:10]} & await _exact(tx, fields, seen))
    return {"hnsw_recall10": right / (10 * len(asked)), "nearest_p95_ms": statistics.quantiles(took, n=20)[-1]}


async def _nearest(tx: Connection, fields: Document, seen: Seen) -> list[Found]:
    return await document_store.nearest(
        tx,
        vector(fields),
        seen,
        embedder=Lexical.name,
        limit=20,
        kind="decision",
        action="deploy",
        environment=fields.environment,
    )


async def _exact(tx: Connection, fields: Document, seen: Seen) -> set[int]:
    rows = await tx.fetch(
        """
        SELECT id FROM document
        WHERE kind = 'decision' AND action = 'deploy' AND environment = $2 AND at <= $3 AND NOT services && $4::text[]
        ORDER BY (embedding <=> $1::text::vector) + 0, id LIMIT 10
        """,
        *(f"[{','.join(map(repr, vector(fields)))}]", fields.environment, seen.as_of, list(seen.hidden)),
    )
    return {row["id"] for row in rows}


async def _searches(tx: Connection, rng: random.Random, documents: Sequence[Document]) -> dict[str, float]:
    """How often the document that somebody means is among the first five, by words alone and with nearness."""
    seen = Seen(as_of=datetime(2100, 1, 1, tzinfo=UTC))
    meant = rng.sample(range(len(documents)), QUESTIONS)
    by_words, by_both, took = 0, 0, []
    for number in meant:
        asked = question(rng, documents[number])
        words = await document_store.matching(tx, asked, seen, limit=5)
        started = time.perf_counter()
        both = await library.search(tx, asked, vector(Document(title=asked)), embedder=Lexical.name, seen=seen, limit=5)
        took.append((time.perf_counter() - started) * 1000)
        by_words += any(each.key == str(number) for each in words)
        by_both += any(each.key == str(number) for each in both)
    return {
        "recall5_lexical": by_words / len(meant),
        "recall5_hybrid": by_both / len(meant),
        "search_p95_ms": statistics.quantiles(took, n=20)[-1],
    }


async def _leaks(tx: Connection, rng: random.Random) -> float:
    """Documents that somebody may not see, in the answers to random questions."""
    documents = noise(seed=11)
    crossed = 0
    for _ in range(LEAKS_SOUGHT):
        seen = Seen(hidden=tuple(rng.sample(HIDDEN, 20)), as_of=LONG_AGO + timedelta(minutes=rng.randrange(DOCUMENTS)))
        found = await document_store.nearest(tx, vector(next(documents)), seen, embedder=Lexical.name, limit=10)
        crossed += sum(each.fields.service in seen.hidden or each.at > seen.as_of for each in found)
    return float(crossed)


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
