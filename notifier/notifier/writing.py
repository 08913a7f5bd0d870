"""The loop that asks a model for a few words about lists that stand already: it is never in the way of a message."""

import asyncio

import msgspec

from notifier import prose, prose_store, store
from notifier.model import Model, ModelFailed
from notifier.prose import Unusable
from shared.contracts.events import Bulletin
from shared.db import Pool, locks
from shared.db.polling import look_every
from shared.telemetry import logs

log = logs.get(__name__)

LOOK_EVERY_S = 2.0


class Writing:
    """`model` None: it is off."""

    def __init__(self, *, pool: Pool, model: Model | None) -> None:
        self._pool = pool
        self._model = model

    async def run(self, stop: asyncio.Event) -> None:
        if self._model is None:
            await stop.wait()
            return
        await look_every(LOOK_EVERY_S, self.write, stop, name="writing")

    async def write(self) -> None:
        """About each list once, whatever comes of it; the model is asked outside of any transaction."""
        while self._model is not None:
            async with self._pool.acquire() as connection:
                thing = await prose_store.claim(connection)
            if thing is None:
                return
            await self._write_about(thing, self._model)

    async def _write_about(self, thing: str, model: Model) -> None:
        async with self._pool.acquire() as connection:
            known = (await store.things(connection, [thing]))[thing].content.get("bulletin")
        if not isinstance(known, Bulletin):
            return
        told = prose.told(known)
        try:
            words, reason = prose.checked(await model.answer(ask=prose.ASK, of=told), told), ""
        except (ModelFailed, Unusable) as problem:
            words, reason = "", str(problem)
            log.warning("prose.left_out", reason=reason)
        async with self._pool.acquire() as connection, connection.transaction():
            await locks.lock(connection, "thing", [thing])
            await prose_store.end(connection, thing, reason=reason)
            if words:
                worded = msgspec.structs.replace(known, prose=words)
                await store.know(connection, [(thing, "bulletin", {"bulletin": worded})])
                await store.retell(connection, [thing])
