"""Whose fault a failure is. Nobody's: the same work succeeds once the broker, the database or a peer is back."""

import asyncpg
import nats.errors

from shared.bus.publisher import PublishError
from shared.db.pool import INFRASTRUCTURE_ERRORS

BROKER_ERRORS = (PublishError, nats.errors.Error)
NOBODYS = (*INFRASTRUCTURE_ERRORS, *BROKER_ERRORS)


class HandlerTimedOut(Exception):
    """A handler did not come to its end, and the database is not why."""


def is_nobodys(error: BaseException) -> bool:
    """False for a value that asyncpg refused (an InterfaceError too, but some message's fault), and for bugs."""
    return isinstance(error, NOBODYS) and not isinstance(error, (ValueError, asyncpg.QueryCanceledError))
