"""What was gathered is told when it is due: one thing by its own card, several by one message that lists them."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime

import msgspec

from notifier import explain, gather_store, push_store, reason_store, store
from notifier.about import about
from notifier.cards import card
from notifier.details import details
from notifier.listing import Line, render_list
from notifier.living import Content, Thing, newest_first
from notifier.placing import Place, place
from notifier.quiet import quiet_until
from notifier.render import note
from notifier.route_versions import RouteVersions
from notifier.routes import Route
from notifier.store import NewCard, NewNote
from notifier.templates import Templates
from notifier.transitions import state
from shared.catalog import Catalog
from shared.contracts.ids import step_of_entity
from shared.contracts.services import NOTIFIER
from shared.db import Connection, Pool
from shared.db.catalogs import CurrentCatalog
from shared.db.polling import look_every
from shared.telemetry import logs

log = logs.get(__name__)

LOOK_EVERY_S = 1.0
TIDY_MAX = 5_000
REPEATS_MAX = 100
UNREACHED_MAX = 20
UNREACHED = "here, as none of those who may decide could be told"
UNSETTLED = frozenset({"open", "acknowledged", "pending", "firing"})
ALONE = "group"  # a pile of one thing that waited for company shows its card


class Gathering:
    def __init__(
        self,
        pool: Pool,
        catalogs: CurrentCatalog,
        routes: RouteVersions,
        templates: Templates,
        *,
        default_channel: str,
    ) -> None:
        self._default_channel = default_channel
        self._pool = pool
        self._routes = routes
        self._templates = templates
        self._catalogs = catalogs

    async def run(self, stop: asyncio.Event) -> None:
        async def look() -> None:
            while await self.tell_one() and not stop.is_set():
                pass
            await self.repeat()
            await self.tell_unreached()

        await look_every(LOOK_EVERY_S, look, stop, name="gathering")

    async def tell_one(self) -> bool:
        """True when there may be more."""
        async with self._pool.acquire() as connection, connection.transaction():
            catalog = (await self._catalogs.current(connection)).content
            pile = await gather_store.take(connection)
            if pile is None:
                now = await gather_store.now(connection)
                await reason_store.forget(connection, now=now, limit=TIDY_MAX)
                await push_store.forget(connection, now=now, limit=TIDY_MAX)
                return False
            await _tell(connection, pile, catalog, self._templates)
        log.info("gathered.told", channel=pile.channel, pile=pile.name, things=len(pile.things))
        return True

    async def repeat(self) -> None:
        """What still stands as it stood, and should not, is told again in its thread."""
        async with self._pool.acquire() as connection, connection.transaction():
            due = await gather_store.repeats(connection, limit=REPEATS_MAX)
            if not due:
                return
            catalog, at = (await self._catalogs.current(connection)).content, await gather_store.now(connection)
            routes = (await self._routes.current(connection)).content
            notes: list[NewNote] = []
            moments: dict[str, datetime | None] = {}
            for each in due:
                shown = card(each.content, catalog)
                if state(shown) not in UNSETTLED:
                    moments[each.card.key] = None
                    continue
                if ends := _quiet_until(each, routes, catalog, at):
                    moments[each.card.key] = ends
                    continue
                said = note(shown, mentioned=False, templates=self._templates)
                key = f"{each.card.key}#again:{at.isoformat()}"
                notes.append(NewNote(key=key, root=each.card, urgent=each.urgent, message=said))
            await gather_store.repeat_at(connection, moments)
            await store.note(connection, notes)

    async def tell_unreached(self) -> None:
        """Where none of those who may decide can be told, the channel is that would hear of it without them."""
        async with self._pool.acquire() as connection, connection.transaction():
            unreached = await gather_store.unreached(connection, limit=UNREACHED_MAX)
            if not unreached:
                return
            catalog, at = (await self._catalogs.current(connection)).content, await gather_store.now(connection)
            routes = (await self._routes.current(connection)).content
            for key, content in unreached.items():
                default = self._default_channel
                asked = about(content, catalog)
                placed = place(content, asked, routes, catalog, default=default, now=at, directly=False)
                steps = [msgspec.structs.replace(each, why=f"{each.why}; {UNREACHED}") for each in placed.places]
                await _tell_all(connection, key, steps)
                await store.note(
                    connection,
                    details(key, Thing(content=content), content, [p.to for p in placed.places if p.is_now], catalog),
                )
                told = msgspec.structs.replace(placed, places=tuple(steps))
                await reason_store.add(connection, explain.placed(newest_first(content)[0], key, told))


async def _tell_all(tx: Connection, key: str, places: Sequence[Place]) -> None:
    await store.tell(tx, [new_card(key, each) for each in places if each.is_now])
    await gather_store.gather(tx, [(key, each) for each in places if each.is_told and not each.is_now])


def _quiet_until(again: gather_store.Again, routes: Route, catalog: Catalog, at: datetime) -> datetime | None:
    """By the route that shows it there now."""
    asked = about(again.content, catalog)
    placed = place(again.content, asked, routes, catalog, default=again.card.channel, now=at)
    manner = next((each.manner for each in placed.places if each.to == again.card.channel), routes.manner)
    return quiet_until(manner.quiet, at) if manner.quiet and not manner.critical else None


def new_card(thing: str, place: Place) -> NewCard:
    manner = place.manner
    return NewCard(thing=thing, channel=place.to, urgent=place.urgent, thread=manner.thread, repeat_s=manner.repeat_s)


async def _tell(tx: Connection, pile: gather_store.Pile, catalog: Catalog, templates: Templates) -> None:
    if len(pile.things) == 1 and pile.how == ALONE:
        alone = NewCard(
            thing=pile.things[0],
            channel=pile.channel,
            urgent=pile.urgent,
            thread=pile.thread,
            repeat_s=pile.repeat_s,
        )
        await store.tell(tx, [alone])
        return
    at = await gather_store.now(tx)
    entity = f"{pile.channel}|{pile.name}"
    number = step_of_entity(service=NOTIFIER.name, entity=entity, revision=1, step=at.isoformat())
    message = render_list(pile.how, _lines(await gather_store.contents(tx, pile.things), catalog), templates)
    key = f"list:{number}@{pile.channel}"
    await gather_store.list_things(tx, key, pile, message)


async def relist(tx: Connection, things: Collection[str], catalog: Catalog, templates: Templates) -> None:
    """Lists live as cards do: what changed is shown where it stands."""
    for key, (how, listed) in (await gather_store.lists_of(tx, things)).items():
        await gather_store.lock(tx, key)
        lines = _lines(await gather_store.contents(tx, listed), catalog)
        await gather_store.show(tx, key, render_list(how, lines, templates))


def _lines(contents: dict[str, Content], catalog: Catalog) -> list[Line]:
    return [
        Line(key=key, about=about(content, catalog), card=card(content, catalog)) for key, content in contents.items()
    ]
