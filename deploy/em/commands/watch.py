"""`em watch`: what must always be true of a running stack, made true again."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from em import operator
from em.commands import provision
from em.commands.reconcile import compare
from em.errors import EmError
from em.screen import SCREEN

PROVISION_EVERY_S = 3.0
BACK = timedelta(minutes=15)  # of events; what is older was looked at when it was new
PLACES = 20_000  # of RAW, behind the acknowledged one


def watch(
    every: Annotated[float, typer.Option(min=1, help="Seconds between two comparisons.")] = 60,
) -> None:
    """Stay: make anew what vanishes from NATS; compare RAW, archive and events, and repair (with DATABASE_URL)."""
    operator.run(lambda: _watch(every))


async def _watch(every_s: float) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    loops = [_repeat(stop, PROVISION_EVERY_S, "provision", _provision)]
    if os.environ.get("DATABASE_URL"):
        loops.append(_repeat(stop, every_s, "compare", _compare))
    else:
        SCREEN.line("DATABASE_URL is not set: streams are watched, the ledger is not")
    await asyncio.gather(*loops)


async def _repeat(stop: asyncio.Event, every_s: float, verb: str, work: Callable[[], Awaitable[None]]) -> None:
    """What can't be done now is told, and tried again."""
    import asyncpg
    import nats.errors

    while not stop.is_set():
        try:
            await work()
        except (EmError, OSError, TimeoutError, nats.errors.Error, asyncpg.PostgresError) as error:
            SCREEN.line(f"cannot {verb}: {error}")
        try:
            async with asyncio.timeout(every_s):
                await stop.wait()
        except TimeoutError:
            continue


async def _provision() -> None:
    for name in await provision.make(lambda _: None):
        SCREEN.line(f"made anew: {name}")


async def _compare() -> None:
    found = await compare(datetime.now(UTC) - BACK, repair=True, places=PLACES)
    if not found.is_clean:
        places = found.raw_missing + found.raw_lost
        SCREEN.line(
            f"unaccounted for: {places} places of RAW, {found.deliveries_without_events} deliveries without events;"
            f" {found.handed} handed to normalizer again"
        )
