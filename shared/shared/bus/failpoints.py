"""Places where a test may let this process die or stumble: `FAILPOINT=<point>:<action>[:<nth>]`, never in production.

Actions: `kill` (SIGKILL to ourselves), `raise`, `sleep` (three seconds). `nth` counts from 1, the default.
"""

import asyncio
import os
import signal

import msgspec

from shared.settings import InvalidConfiguration

POINTS = (
    "batch.received",  # fetched, nothing done
    "batch.handled",  # handlers ran, not committed
    "batch.committed",  # nothing published yet
    "batch.published",  # what an `again` consumer says is stored, nothing acknowledged
    "letter.published",  # a dead letter stands, its message is not acknowledged
    "outbox.published",  # the relay's messages are stored, their rows not deleted
    "rebuild.published",  # a page of the archive is said again, the job has not advanced
)
ACTIONS = ("kill", "raise", "sleep")
SLEEP_S = 3.0


class InjectedFailure(Exception):
    """What the action `raise` raises."""


class Armed(msgspec.Struct):
    point: str = ""
    action: str = ""
    left: int = 0


_armed = Armed()


def arm(text: str) -> None:
    """Empty disarms. Raises InvalidConfiguration naming what is unknown."""
    global _armed  # one process, one plan
    if not text:
        _armed = Armed()
        return
    point, _, rest = text.partition(":")
    action, _, nth = rest.partition(":")
    if point not in POINTS or action not in ACTIONS or not (nth or "1").isdigit():
        raise InvalidConfiguration(
            f"FAILPOINT={text}: write <point>:<action>[:<nth>];"
            f" points: {', '.join(POINTS)}; actions: {', '.join(ACTIONS)}"
        )
    _armed = Armed(point=point, action=action, left=int(nth or 1))


async def reach(point: str) -> None:
    """Called at each point; does nothing unless that one is armed and this is its nth time."""
    if point != _armed.point:
        return
    _armed.left -= 1
    if _armed.left:
        return
    match _armed.action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raise":
            raise InjectedFailure(point)
        case _:
            await asyncio.sleep(SLEEP_S)
