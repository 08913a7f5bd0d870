"""PostgreSQL: pool with the service's role, migrations per schema, inbox, outbox, locks."""

from typing import TYPE_CHECKING, TypeAlias

from asyncpg import Pool

if TYPE_CHECKING:
    from asyncpg import Record
    from asyncpg.connection import Connection as _Connection
    from asyncpg.pool import PoolConnectionProxy

    Connection: TypeAlias = _Connection[Record] | PoolConnectionProxy[Record]
else:
    from asyncpg import Connection

__all__ = ["Connection", "Pool"]
