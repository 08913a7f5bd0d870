"""Searches of people: counted in the database, by words and by nearness."""

from typing import Any

import msgspec

from approvals_svc import document_store, library, store
from approvals_svc.document import Document, Found
from approvals_svc.document_store import Seen
from approvals_svc.embedding import Embedder, EmbeddingFailed, Vector
from approvals_svc.library import OFF
from shared.db import Pool

QUESTION_MAX_CHARACTERS = 500

Json = dict[str, Any]


class SearchesUsedUp(Exception):
    """Today's are; tomorrow (UTC) there are more."""


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """`note` says why only words were looked for; empty: nearness as well."""

    found: tuple[Found, ...]
    note: str = ""


class Searching:
    """`searches_max` a day, of all people and replicas together."""

    def __init__(self, *, pool: Pool, embedder: Embedder, searches_max: int) -> None:
        self._pool = pool
        self._embedder = embedder
        self._searches_max = searches_max

    async def search(self, text: str, *, hidden: frozenset[str], limit: int) -> Searched:
        """Counts first, and asks the embedder outside of any transaction. Raises SearchesUsedUp."""
        async with self._pool.acquire() as connection:
            if not await document_store.count_search(connection, searches_max=self._searches_max):
                raise SearchesUsedUp
            has_vectors = await document_store.has_vectors(connection)
        vector, note = await self._vector(text) if has_vectors else (None, OFF)
        async with self._pool.acquire() as connection, connection.transaction():
            seen = Seen(hidden=tuple(hidden), as_of=await store.clock(connection))
            found = await library.search(connection, text, vector, embedder=self._embedder.name, seen=seen, limit=limit)
        return Searched(found=tuple(found), note=note)

    async def _vector(self, text: str) -> tuple[Vector | None, str]:
        try:
            [vector] = await self._embedder.embed([Document(title=text)])
        except EmbeddingFailed as failed:
            return None, f"by words alone: {failed}"
        return (vector, "") if any(vector) else (None, "")
