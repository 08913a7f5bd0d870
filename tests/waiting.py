"""Waiting for what must become true, instead of sleeping."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable

POLL_S = 0.05
TIME_SCALE = float(os.environ.get("TEST_TIME_SCALE", "1"))


async def until(condition: Callable[[], Awaitable[bool]], *, timeout_s: float, what: str) -> None:
    """Raises AssertionError naming `what` when the condition stays false."""
    deadline = time.monotonic() + timeout_s * TIME_SCALE
    while not await condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} within {timeout_s} s")
        await asyncio.sleep(POLL_S)
