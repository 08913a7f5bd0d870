"""Loops that look at tables from time to time."""

import asyncio


async def pause(event: asyncio.Event, seconds: float) -> bool:
    """Until the event is set, but no longer than this; true when it was set."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
