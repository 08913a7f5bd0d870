"""What speaks for and against a question, and what there is about another one, over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Query
from pydantic import AwareDatetime

from approvals_svc import document_store, gathering, library, store
from approvals_svc.desk import Desk
from approvals_svc.document import Found
from approvals_svc.document_store import Seen
from approvals_svc.embedding import Embedder, EmbeddingFailed
from approvals_svc.library import OFF, Precedents, Question
from approvals_svc.model import Approval
from approvals_svc.plain import plain
from approvals_svc.precedents import summary
from approvals_svc.searching import QUESTION_MAX_CHARACTERS, SearchesUsedUp, Searching
from approvals_svc.settings import Settings
from approvals_svc.visibility import hidden_from, is_hidden
from shared.contracts.events import Evidence
from shared.db import Connection, Pool
from shared.http.auth import Identity, require
from shared.http.problems import Problem

FOUND_MAX = 50

Json = dict[str, Any]


class EvidenceApi:
    """The answers, apart from their routes."""

    def __init__(self, *, pool: Pool, desk: Desk, embedder: Embedder) -> None:
        self._pool = pool
        self._desk = desk
        self._embedder = embedder

    async def evidence(self, number: int, identity: Identity) -> Json:
        """While it waits, how the service stands now; afterwards what was shown to those who decided."""
        async with self._pool.acquire() as connection, connection.transaction():
            approval = await self._found(connection, number, identity)
            shown = approval.evidence or Evidence()
            if approval.status == "pending":
                catalog, now = await self._desk.current_catalog(connection), await store.clock(connection)
                freezes = approval.requirement.freezes
                shown = await gathering.standing(connection, shown, approval.subject, catalog, freezes=freezes, now=now)
        return as_json(shown)

    async def precedents(self, number: int, as_of: datetime | None, identity: Identity) -> Json:
        """Looked for anew, as things were known at `as_of`."""
        async with self._pool.acquire() as connection, connection.transaction():
            approval = await self._found(connection, number, identity)
            catalog, now = await self._desk.current_catalog(connection), await store.clock(connection)
            has_vectors = await document_store.has_vectors(connection)
        as_of = min(as_of or now, now)
        asked = library.question_of(approval, catalog)
        seen = Seen(hidden=tuple(hidden_from(identity, catalog)), as_of=as_of)
        found = await self._precedents(asked, seen) if has_vectors else Precedents(note=OFF)
        return {
            "as_of": as_of,
            "embedder": self._embedder.name,
            "comparable": found.comparable,
            "note": found.note,
            "summary": summary(found.shown),
            "precedents": msgspec.to_builtins(found.shown),
        }

    async def _precedents(self, asked: Question, seen: Seen) -> Precedents:
        """The embedder is asked outside of any transaction."""
        try:
            [vector] = await self._embedder.embed([asked.fields])
        except EmbeddingFailed as failed:
            return Precedents(note=f"not looked for: {failed}")
        async with self._pool.acquire() as connection, connection.transaction():
            catalog = await self._desk.current_catalog(connection)
            return await library.precedents(connection, asked, vector, catalog, embedder=self._embedder.name, seen=seen)

    async def _found(self, connection: Connection, number: int, identity: Identity) -> Approval:
        approval = await store.approval(connection, number) if 0 < number <= store.ID_MAX else None
        if approval is None or is_hidden(approval.subject, hidden_from(identity, self._desk.catalog)):
            raise Problem(404, "approval-not-found", f"there is no approval #{number}")
        return approval


def add_routes(
    app: FastAPI, settings: Settings, *, pool: Pool, desk: Desk, embedder: Embedder, searching: Searching
) -> None:
    api = EvidenceApi(pool=pool, desk=desk, embedder=embedder)

    @app.get("/v1/approvals/{number}/evidence")
    async def evidence(number: int, identity: Identity = require(settings, "viewer")) -> Json:
        """What would ship, how often the service fails, what burns, coverage and gate, freezes."""
        return await api.evidence(number, identity)

    @app.get("/v1/approvals/{number}/precedents")
    async def precedents(
        number: int, as_of: AwareDatetime | None = None, identity: Identity = require(settings, "viewer")
    ) -> Json:
        """The five nearest past decisions with how they went; none, and why, under five comparable ones."""
        return await api.precedents(number, as_of, identity)

    @app.get("/v1/search")
    async def search(
        q: Annotated[str, Query(min_length=1, max_length=QUESTION_MAX_CHARACTERS)],
        limit: Annotated[int, Query(ge=1, le=FOUND_MAX)] = 10,
        identity: Identity = require(settings, "viewer"),
    ) -> Json:
        """Decisions, changes and incidents by words and by nearness. 429 when today's searches are used up."""
        text = plain(q, characters_max=QUESTION_MAX_CHARACTERS)
        try:
            searched = await searching.search(text, hidden=hidden_from(identity, desk.catalog), limit=limit)
        except SearchesUsedUp:
            raise _used_up(settings) from None
        return {"items": [_shown(each) for each in searched.found], "note": searched.note}


def as_json(shown: Evidence) -> Json:
    """Every field, also those that are empty."""
    return {name: msgspec.to_builtins(getattr(shown, name)) for name in shown.__struct_fields__}


def _shown(found: Found) -> Json:
    return {
        "kind": found.kind,
        "key": found.key,
        "title": found.fields.title,
        "service": found.fields.service,
        "environment": found.fields.environment,
        "at": found.at,
        "url": found.url,
        "score": found.nearness,
    }


def _used_up(settings: Settings) -> Problem:
    now = datetime.now(UTC)
    tomorrow = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return Problem(
        429,
        "searches-used-up",
        f"all {settings.max_daily_rag_searches} searches of today (MAX_DAILY_RAG_SEARCHES) are used up",
        headers={"Retry-After": str(round((tomorrow - now).total_seconds()) + 1)},
    )
