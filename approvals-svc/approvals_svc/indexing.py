"""Keeps the documents: new facts and decisions become some, and each gets a vector of the embedder that is set."""

import asyncio
import time

from approvals_svc import document_store, documents, fact_store, store
from approvals_svc.embedding import Embedder, EmbeddingFailed
from approvals_svc.library import OFF
from shared.db import Connection, Pool
from shared.db.catalogs import Catalogs, Version
from shared.db.polling import look_every
from shared.telemetry import logs

log = logs.get(__name__)

POLL_S = 1.0
BATCH_MAX = 100
EMBEDDED_AT_ONCE = 16  # an answer of as many long vectors stays below what is read
FAILED_WAIT_S = 30.0
TIDY_EVERY_S = 3600.0
KEPT_S = 400 * 24 * 3600.0


async def recompute(tx: Connection, _: Version, new: Version) -> None:
    """A new catalog moves documents to other services, and so out of some people's sight, as it becomes valid."""
    for kind, origin in await document_store.origins(tx):
        services = documents.services_of(kind, origin, new.content)
        await document_store.move(tx, kind=kind, origin=origin, services=services)


class Indexing:
    """One per process; several share what there is to do."""

    def __init__(self, *, pool: Pool, catalogs: Catalogs, embedder: Embedder) -> None:
        self._pool = pool
        self._catalogs = catalogs
        self._embedder = embedder
        self._problem = "not started"
        self._rests_until = 0.0
        self._tidied_at = float("-inf")

    @property
    def state(self) -> str:
        """For /health."""
        return self._problem or f"by {self._embedder.name}"

    async def run(self, stop: asyncio.Event) -> None:
        async def look() -> None:
            while await self.index_some() and not stop.is_set():
                pass
            await self._tidy()

        await look_every(POLL_S, look, stop, name="indexing")

    async def index_some(self) -> bool:
        """True when there may be more."""
        documented = await self._document_some()
        return await self._embed_some() or documented

    async def _document_some(self) -> bool:
        async with self._pool.acquire() as tx, tx.transaction():
            catalog = (await self._catalogs.current(tx)).content
            rows = await document_store.undocumented(tx, limit=BATCH_MAX)
            decisions = [await store.approval(tx, row["id"]) for row in rows["decision"]]
            told = [documents.of_decision(each, catalog) for each in decisions if each and _is_decision(each.decision)]
            told += [documents.of_change(row, catalog) for row in rows["change"]]
            told += [entry for row in rows["incident"] if (entry := documents.of_incident(row, catalog))]
            await document_store.put(tx, told)
            await document_store.mark_documented(tx, rows)
        return any(len(each) == BATCH_MAX for each in rows.values())

    async def _embed_some(self) -> bool:
        """The embedder is asked outside of any transaction."""
        if time.monotonic() < self._rests_until:
            return False
        async with self._pool.acquire() as connection:
            if not await document_store.has_vectors(connection):
                self._tell(OFF)
                return False
            wanted = await document_store.unembedded(connection, embedder=self._embedder.name, limit=EMBEDDED_AT_ONCE)
        if not wanted:
            self._tell("")
            return False
        try:
            vectors = await self._embedder.embed([fields for _, fields in wanted])
        except EmbeddingFailed as failed:
            self._tell(f"new documents wait for their vectors: {failed}")
            self._rests_until = time.monotonic() + FAILED_WAIT_S
            return False
        embedded = [(number, fields, vector) for (number, fields), vector in zip(wanted, vectors, strict=True)]
        async with self._pool.acquire() as connection, connection.transaction():
            await document_store.set_vectors(connection, embedded, embedder=self._embedder.name)
        return True

    async def _tidy(self) -> None:
        if time.monotonic() - self._tidied_at < TIDY_EVERY_S:
            return
        async with self._pool.acquire() as tx, tx.transaction():
            await fact_store.forget(tx, older_than_s=KEPT_S)
            await document_store.forget(tx, older_than_s=KEPT_S)
        self._tidied_at = time.monotonic()

    def _tell(self, problem: str) -> None:
        if problem and problem != self._problem:
            log.warning("precedents.incomplete", reason=problem)
        self._problem = problem


def _is_decision(decision: str) -> bool:
    """Who takes a question back, or asks another one instead, decides nothing."""
    return decision in ("approved", "auto_approved", "rejected", "expired")
