"""Asks the documents: what is like this, and what is there about that."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from asyncpg import QueryCanceledError

from approvals_svc import document_store as documents
from approvals_svc import store
from approvals_svc.aftermath_store import aftermath
from approvals_svc.document import Document, Found
from approvals_svc.document_store import Seen
from approvals_svc.documents import of_question
from approvals_svc.embedding import Embedder, Vector
from approvals_svc.model import Approval, Subject
from approvals_svc.precedents import LOOKED_AT, SHOWN, SIMILARITY_MIN, ending, note, precedent
from shared.catalog import Catalog
from shared.contracts.events import Evidence, Precedent
from shared.db import Connection

CARD_TIMEOUT_MS = 200
CANDIDATES = 50
FUSION = 60  # of Cormack, Clarke and Büttcher, SIGIR 2009
QUESTION_MIN = 0.1  # a question shares less with a document than two documents do
OFF = "off: PostgreSQL has no extension vector; install it, then run em migrate --bootstrap and em migrate"
LATER = "not looked for here: the embedder is not in this process; ask for them by /precedents"
LATE = f"not found within {CARD_TIMEOUT_MS} ms"


class Precedents(msgspec.Struct, frozen=True, kw_only=True):
    """`note` says why none are shown; `comparable` counts up to LOOKED_AT."""

    shown: tuple[Precedent, ...] = ()
    comparable: int = 0
    note: str = ""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, as a document; decisions about the very same content are none to learn from."""

    fields: Document
    content_hash: str


def question(
    subject: Subject, evidence: Evidence, catalog: Catalog, *, reason: str, content_hash: str, at: datetime
) -> Question:
    return Question(fields=of_question(subject, evidence, catalog, at=at, reason=reason), content_hash=content_hash)


def question_of(approval: Approval, catalog: Catalog) -> Question:
    return question(
        approval.subject,
        approval.evidence or Evidence(),
        catalog,
        reason=approval.reason,
        content_hash=approval.content_hash,
        at=approval.created_at,
    )


async def for_card(
    tx: Connection, embedder: Embedder, asked: Question, catalog: Catalog, *, services: Sequence[str], now: datetime
) -> Precedents:
    """For whoever sees the card of these services; within 200 ms, or not at all. What is asked waits for nothing."""
    if not await documents.has_vectors(tx):
        return Precedents(note=OFF)
    if not embedder.is_local:
        return Precedents(note=LATER)
    [vector] = await embedder.embed([asked.fields])
    hidden = catalog.hidden_from("") - set(services)
    try:
        async with tx.transaction():
            timeout = await tx.fetchval("SELECT current_setting('statement_timeout')")
            await _limit(tx, str(CARD_TIMEOUT_MS))
            found = await precedents(
                tx, asked, vector, catalog, embedder=embedder.name, seen=Seen(hidden=tuple(hidden), as_of=now)
            )
            await _limit(tx, timeout)
    except QueryCanceledError:
        return Precedents(note=LATE)
    return found


async def precedents(
    tx: Connection, asked: Question, vector: Vector, catalog: Catalog, *, embedder: str, seen: Seen
) -> Precedents:
    """The nearest of the same action and class of environment; none, with the reason, under five comparable ones."""
    found = await documents.nearest(
        tx,
        vector,
        seen,
        embedder=embedder,
        limit=LOOKED_AT,
        kind="decision",
        action=asked.fields.action,
        environment=asked.fields.environment,
        content_hash=asked.content_hash,
    )
    comparable = [each for each in found if each.nearness >= SIMILARITY_MIN]
    if reason := note(len(comparable)):
        return Precedents(comparable=len(comparable), note=reason)
    nearest = sorted(comparable, key=lambda each: (-round(each.nearness, 3), -each.at.timestamp()))[:SHOWN]
    shown = [await _with_ending(tx, each, asked, catalog, as_of=seen.as_of) for each in nearest]
    return Precedents(shown=tuple(each for each in shown if each), comparable=len(comparable))


async def search(
    tx: Connection, text: str, vector: Vector | None, *, embedder: str, seen: Seen, limit: int
) -> list[Found]:
    """By words and by nearness: what stands high in either list stands high (reciprocal rank fusion). `vector` None:
    by words alone."""
    by_words = await documents.matching(tx, text, seen, limit=CANDIDATES)
    near = await documents.nearest(tx, vector, seen, embedder=embedder, limit=CANDIDATES) if vector else []
    ranks: dict[int, float] = {}
    for ranked in (by_words, [each for each in near if each.nearness >= QUESTION_MIN]):
        for rank, each in enumerate(ranked):
            ranks[each.id] = ranks.get(each.id, 0) + 1 / (FUSION + rank)
    known = {each.id: each for each in (*near, *by_words)}
    order = sorted(ranks, key=lambda number: (-ranks[number], -known[number].at.timestamp(), number))
    return [msgspec.structs.replace(known[number], nearness=round(ranks[number], 5)) for number in order[:limit]]


async def _with_ending(
    tx: Connection, found: Found, asked: Question, catalog: Catalog, *, as_of: datetime
) -> Precedent | None:
    approval = await store.approval(tx, int(found.key))
    if approval is None:
        return None
    window = timedelta(hours=catalog.incident_window_h(approval.subject.service))
    after = await aftermath(tx, approval, catalog, window=window, as_of=as_of)
    how = ending(approval.decision, after, window=window, as_of=as_of)
    return precedent(approval, found.fields, asked.fields, nearness=found.nearness, how=how)


async def _limit(tx: Connection, value: str) -> None:
    await tx.execute("SELECT set_config('statement_timeout', $1, true)", value)
