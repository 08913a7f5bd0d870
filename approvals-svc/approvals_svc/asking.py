"""Answers what people ask in chat: outside of the transaction that took the question, for the embedder may be away."""

import asyncio

from approvals_svc import question_store, wording
from approvals_svc.question_store import Question
from approvals_svc.replies import reply
from approvals_svc.searching import SearchesUsedUp, Searching
from shared.contracts.envelope import event_message
from shared.contracts.subjects import Subjects
from shared.db import Pool, outbox
from shared.db.catalogs import Catalogs
from shared.db.polling import look_every

POLL_S = 0.5
AT_ONCE = 10
LEASE_S = 30.0
ANSWERED_MAX = 3


class Asking:
    """One per process; several share the questions."""

    def __init__(self, *, pool: Pool, catalogs: Catalogs, searching: Searching, subjects: Subjects) -> None:
        self._pool = pool
        self._catalogs = catalogs
        self._searching = searching
        self._subjects = subjects

    async def run(self, stop: asyncio.Event) -> None:
        await look_every(POLL_S, self.answer_some, stop, name="questions")

    async def answer_some(self) -> None:
        async with self._pool.acquire() as connection:
            questions = await question_store.lease(connection, limit=AT_ONCE, lease_s=LEASE_S)
        for question in questions:
            text = await self._answer(question)
            async with self._pool.acquire() as tx, tx.transaction():
                if await question_store.close(tx, question):
                    await outbox.add(tx, [event_message(reply(question.asker, text), self._subjects)])

    async def _answer(self, question: Question) -> str:
        hidden = self._catalogs.catalog.hidden_from(question.person)
        try:
            searched = await self._searching.search(question.words, hidden=hidden, limit=ANSWERED_MAX)
        except SearchesUsedUp:
            return "All searches of today are used up (MAX_DAILY_RAG_SEARCHES). Tomorrow (UTC) there are more."
        return wording.found(searched.found, note=searched.note)
