"""Whose fault a failure is. Nobody's: the same work succeeds once the broker, the database or a peer is back."""

import asyncpg
import nats.errors

from shared.bus.errors import PublishError, PublishRejected
from shared.db.pool import INFRASTRUCTURE_ERRORS

BROKER_ERRORS = (PublishError, nats.errors.Error)
NOBODYS = (*INFRASTRUCTURE_ERRORS, *BROKER_ERRORS)


class HandlerTimedOut(Exception):
    """A handler did not come to its end, and the database is not why."""


def is_nobodys(error: BaseException) -> bool:
    """False for what some message brought about although its kind is listed, and for bugs.

    A value that asyncpg refuses is an InterfaceError too; a message that no stream will ever take is a publish error.
    """
    return isinstance(error, NOBODYS) and not isinstance(
        error, (ValueError, asyncpg.QueryCanceledError, PublishRejected)
    )
