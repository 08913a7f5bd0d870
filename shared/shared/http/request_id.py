"""The request id: taken from a well-formed `X-Request-ID`, else made; in every answer and every log line."""

import random
import re
from contextvars import ContextVar

WELL_FORMED = re.compile(rb"[A-Za-z0-9-]{8,64}")
_current: ContextVar[str] = ContextVar("request_id", default="")


def request_id() -> str:
    return _current.get()


def adopt(given: bytes) -> str:
    chosen = (
        given.decode("ascii") if WELL_FORMED.fullmatch(given) else f"{random.getrandbits(128):032x}"
    )  # names a request, guards nothing
    _current.set(chosen)
    return chosen


def _made() -> str:
    """It names a request and guards nothing."""
    return f"{random.getrandbits(128):032x}"
