"""Answers what people ask in chat: outside of the transaction that took the question, for the embedder may be away."""

import asyncio

from approvals_svc import question_store, store, wording
from approvals_svc.nudges import Message, Nudges
from approvals_svc.question_store import Question
from approvals_svc.replies import reply
from approvals_svc.searching import SearchesUsedUp, Searching
from shared.contracts.envelope import event_message
from shared.contracts.ids import step_of_entity
from shared.contracts.services import APPROVALS_SVC
from shared.contracts.subjects import Subjects
from shared.db import Pool, outbox
from shared.db.catalogs import Catalogs
from shared.db.polling import look_every

POLL_S = 0.5
AT_ONCE = 10
LEASE_S = 30.0
ANSWERED_MAX = 3
POSTED_MAX_S = 15.0
NOBODY = ""  # who sees what is hidden from nobody


class Asking:
    """One per process; several share the questions."""

    def __init__(
        self, *, pool: Pool, catalogs: Catalogs, searching: Searching, nudges: Nudges, subjects: Subjects
    ) -> None:
        self._pool = pool
        self._catalogs = catalogs
        self._searching = searching
        self._nudges = nudges
        self._subjects = subjects

    async def run(self, stop: asyncio.Event) -> None:
        await look_every(POLL_S, self.answer_some, stop, name="questions")

    async def answer_some(self) -> None:
        async with self._pool.acquire() as connection:
            questions = await question_store.lease(connection, limit=AT_ONCE, lease_s=LEASE_S)
        async with asyncio.TaskGroup() as answers:
            for question in questions:
                answers.create_task(self._finish(question))

    async def _finish(self, question: Question) -> None:
        text = (
            await self._posted(question) if question.is_posted else await self._found(question.words, question.person)
        )
        async with self._pool.acquire() as tx, tx.transaction():
            if await question_store.close(tx, question):
                await outbox.add(tx, [event_message(reply(question.asker, text), self._subjects)])

    async def _posted(self, question: Question) -> str:
        """What is for everybody holds what everybody sees. The same question is the same message."""
        text = await self._found(question.words, NOBODY) if question.words else await self._waiting()
        entity = f"post:{question.asker.cause}"
        message = Message(
            id=step_of_entity(service=APPROVALS_SVC.name, entity=entity, revision=0, step="asked"),
            text=text,
            asked_by=question.person,
            channel=question.post_to,
            origin=question.asker.origin,
        )
        settled = await self._nudges.ask(message, timeout_s=POSTED_MAX_S)
        return wording.posted(settled.state, settled.channel, settled.reason)

    async def _waiting(self) -> str:
        catalog = self._catalogs.catalog
        async with self._pool.acquire() as connection:
            pending = await store.approvals(
                connection, status="pending", limit=wording.LISTED_MAX * 5, hidden=catalog.hidden_from(NOBODY)
            )
        return wording.waiting(pending, catalog)

    async def _found(self, words: str, person: str) -> str:
        hidden = self._catalogs.catalog.hidden_from(person)
        try:
            searched = await self._searching.search(words, hidden=hidden, limit=ANSWERED_MAX)
        except SearchesUsedUp:
            return "All searches of today are used up (MAX_DAILY_RAG_SEARCHES). Tomorrow (UTC) there are more."
        return wording.found(searched.found, note=searched.note)
