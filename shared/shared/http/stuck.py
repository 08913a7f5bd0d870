"""Ends a process whose event loop stands still, with the stack of every thread in its log.

A handler that computes for ever can't be cancelled: only a new process goes on, and the failure rules of the bus
find the message that did it.
"""

import asyncio
import faulthandler

from shared.db.polling import pause

STANDS_STILL_S = 60.0


async def run(stop: asyncio.Event) -> None:
    """A loop of every service: winds up the alarm once a second."""
    try:
        while True:
            faulthandler.dump_traceback_later(STANDS_STILL_S, exit=True)
            if await pause(stop, 1.0):
                return
    finally:
        faulthandler.cancel_dump_traceback_later()
