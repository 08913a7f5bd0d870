"""A model's words come to a list that stands already, by an edit or not at all: a counterpart over HTTP answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from notifier import prose_store, store
from notifier.cards import card
from notifier.model import Model
from notifier.render import render
from notifier.settings import Settings
from notifier.writing import Writing
from shared.catalog import Catalog
from shared.contracts.events import Bulletin, Section
from shared.contracts.services import NOTIFIER
from shared.db import Pool
from shared.db.pool import open_pool

pytestmark = pytest.mark.asyncio

THING = "bulletin:one"
BULLETIN = Bulletin(
    occurred_at=datetime.now(UTC),
    about="standup",
    title="Standup of payments",
    sections=(Section(title="Merged", n=3),),
)


class Counterpart:
    """Answers every question the same way, and remembers what it was asked."""

    def __init__(self, answer: str | web.Response | None) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self._answer = answer

    async def complete(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        self.keys.append(request.headers["Authorization"])
        if self._answer is None:
            await asyncio.sleep(60)
        if isinstance(self._answer, web.Response):
            return self._answer
        return web.json_response({"choices": [{"message": {"role": "assistant", "content": self._answer}}]})


@asynccontextmanager
async def served(counterpart: Counterpart, *, timeout_s: float = 20) -> AsyncIterator[Model]:
    app = web.Application()
    app.router.add_post("/v1/chat/completions", counterpart.complete)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield Model(url=url, name="small", api_key="sk-test", timeout_s=timeout_s)
    finally:
        await runner.cleanup()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """One list that people see."""
    async with open_pool(Settings(database_url=database_url), NOTIFIER) as opened:
        async with opened.acquire() as tx, tx.transaction():
            await store.know(tx, [(THING, "bulletin", {"bulletin": BULLETIN})])
            await store.tell(tx, [store.NewCard(thing=THING, channel="#payments", urgent=False)])
            await prose_store.want(tx, [THING])
            await tx.execute("UPDATE message SET state = 'shown', ts = '1.1', channel_id = 'C1', shown_version = 1")
        yield opened


async def shown(pool: Pool) -> tuple[str, str]:
    """What the message says now, and what the sender is to do with it."""
    async with pool.acquire() as tx:
        [thing] = (await store.things(tx, [THING])).values()
        state = str(await tx.fetchval("SELECT state FROM message"))
    return str(render(card(thing.content, Catalog())).blocks), state


async def test_words_that_pass_are_added_once_by_an_edit(pool: Pool) -> None:
    counterpart = Counterpart("Merging goes well: 3 changes landed.")
    async with served(counterpart) as model:
        await asyncio.gather(*(Writing(pool=pool, model=model).write() for _ in range(3)))

    said, state = await shown(pool)
    assert "Merging goes well: 3 changes landed." in said and state == "ready"
    [asked] = counterpart.asked
    assert (asked["model"], asked["messages"][1]["content"]) == ("small", "Standup of payments\nMerged: 3")
    assert counterpart.keys == ["Bearer sk-test"] and "sk-test" not in str(asked)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("4 changes landed.", "it has a number that it was not told"),
        (web.Response(status=500, text="3"), "status 500"),
        (web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}), "status 302"),
        (web.Response(text="not json"), "the answer is no completion"),
        (web.Response(text='{"choices":[]}'), "the answer is no completion"),
        (web.Response(text="x" * 100_000), "the answer is too long"),
        (None, "no answer within 0.5 s"),
    ],
)
async def test_words_that_fail_leave_the_list_as_it_is_and_say_why(
    pool: Pool, answer: str | web.Response | None, reason: str
) -> None:
    before = await shown(pool)
    counterpart = Counterpart(answer)
    async with served(counterpart, timeout_s=0.5 if answer is None else 20) as model:
        await Writing(pool=pool, model=model).write()
        await Writing(pool=pool, model=model).write()

    assert await shown(pool) == before
    assert len(counterpart.asked) == 1
    assert await pool.fetchval("SELECT reason FROM prose") == reason


async def test_without_a_model_nobody_is_asked(pool: Pool) -> None:
    before = await shown(pool)

    await Writing(pool=pool, model=None).write()

    assert await shown(pool) == before
    assert await pool.fetchval("SELECT asked_at FROM prose") is None
