"""Loops that look at tables from time to time."""

import asyncio
from collections.abc import Awaitable, Callable

from shared.db.pool import INFRASTRUCTURE_ERRORS
from shared.telemetry import logs

log = logs.get(__name__)


async def pause(event: asyncio.Event, seconds: float) -> bool:
    """Until the event is set, but no longer than this; true when it was set."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def look_every(seconds: float, look: Callable[[], Awaitable[object]], stop: asyncio.Event, *, name: str) -> None:
    """Until `stop` is set. A look that the database broke off is told as `<name>.stalled` and made again."""
    while not stop.is_set():
        try:
            await look()
        except INFRASTRUCTURE_ERRORS as error:
            log.warning(f"{name}.stalled", error=repr(error))
        await pause(stop, seconds)
