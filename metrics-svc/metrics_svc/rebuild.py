"""While a rebuild is under way, its facts and all that follows from them are built in tables beside the served ones.

The shadow is a schema of its own with the same tables; `em rebuild` makes it, swaps its content in and drops it. What
is live meanwhile goes to both: facts commute and are idempotent (law 4), so the shadow holds what the archive says
plus what came since, in whatever order. A batch holds a shared lock while it looks whether there is a shadow, until
it commits; the swap holds it exclusively.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from metrics_svc.facts import Fact
from metrics_svc.handlers import Facts
from metrics_svc.saying import changed
from shared.contracts.envelope import event_message
from shared.contracts.events import ChatCommand, Event
from shared.contracts.services import METRICS_SVC
from shared.contracts.subjects import Subjects
from shared.db import Connection, outbox
from shared.db.catalogs import Recompute, Version

SHADOW = "metrics_rebuild"
# What follows from events alone; the rest of the schema is the service's memory of its own doings.
FACTS = (
    *("change", "commit", "deployment", "incident", "incident_transition", "carried", "incident_cause"),
    *("review", "build", "ticket", "ticket_status", "quality", "work_origin"),
)
DERIVED = (
    *("repository", "service", "production_deployment", "part", "set_aside", "change_link", "incident_link"),
    *("change_flow", "shipped_day", "reviewed_day"),
)
PROJECTION = (*FACTS, *DERIVED)
LOCK = "hashtextextended('metrics rebuild', 0)"

OnFacts = Callable[[Sequence[Fact], Connection], Awaitable[None]]
OnCommands = Callable[[Sequence[ChatCommand], Connection], Awaitable[None]]


async def hold(tx: Connection) -> None:
    """Nothing is swapped until the transaction ends."""
    await tx.execute(f"SELECT pg_advisory_xact_lock_shared({LOCK})")


async def has_shadow(tx: Connection) -> bool:
    """As it stays until the transaction ends."""
    await hold(tx)
    return bool(await tx.fetchval("SELECT to_regnamespace($1) IS NOT NULL", SHADOW))


@asynccontextmanager
async def in_shadow(tx: Connection) -> AsyncIterator[None]:
    """Names of tables mean the shadow's, where it has them."""
    await tx.execute(f"SET LOCAL search_path = {SHADOW}, {METRICS_SVC.schema}, extensions")
    yield
    await tx.execute(f"SET LOCAL search_path = {METRICS_SVC.schema}, extensions")


class RebuiltFacts:
    """The handlers of facts, for a service that may be rebuilt while it runs."""

    def __init__(self, facts: Facts, subjects: Subjects) -> None:
        self._facts = facts
        self._subjects = subjects

    async def on_facts(self, events: Sequence[Fact], tx: Connection) -> None:
        """Live: into the served tables, and into the shadow's where there is one."""
        shadowed = await has_shadow(tx)
        if changes := await self._facts.on_facts(events, tx):
            await outbox.add(tx, [event_message(event, self._subjects) for event in changed(changes, events)])
        if shadowed:
            async with in_shadow(tx):
                await self._facts.project(events, tx)

    async def on_replayed(self, events: Sequence[Fact], tx: Connection) -> None:
        """Said again for a rebuild: into the shadow alone. One that was abandoned needs nothing any more."""
        if await has_shadow(tx):
            async with in_shadow(tx):
                await self._facts.project(events, tx)


async def on_unused(_: Sequence[Event], __: Connection) -> None:
    """Said for a rebuild and no fact of ours: the inbox counts it, since the swap waits for all that was said."""


def unswapped(on_commands: OnCommands) -> OnCommands:
    """An answer takes several statements: they must not see half of a swap."""

    async def held(events: Sequence[ChatCommand], tx: Connection) -> None:
        await hold(tx)
        await on_commands(events, tx)

    return held


def recomputing_both(recompute: Recompute) -> Recompute:
    """A new version of the catalog moves what is served, and what is being built."""

    async def both(tx: Connection, old: Version, new: Version) -> None:
        shadowed = await has_shadow(tx)  # first: a swap in between would bring back what this moves
        await recompute(tx, old, new)
        if shadowed:
            async with in_shadow(tx):
                await recompute(tx, old, new)

    return both
