"""What commands of the operator work with: the bus as `operator`, and the database as its owner."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from em.commands.environment import adopt_stack
from em.errors import EmError

if TYPE_CHECKING:
    from shared.bus import Bus
    from shared.db import Connection

T = TypeVar("T")


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Runs a command's work against the stack that is here; what can't be reached is told in words."""
    adopt_stack()
    import asyncio

    import asyncpg
    from nats.errors import Error as NatsError

    from shared.bus import PublishError
    from shared.settings import InvalidConfiguration

    async def until_done() -> T:
        return await work()

    try:
        return asyncio.run(until_done())
    except InvalidConfiguration as error:
        raise EmError(str(error)) from error
    except asyncpg.PostgresError as error:
        raise EmError(f"the database refused: {error}", hint="check DATABASE_URL; run: em doctor") from error
    except (NatsError, PublishError) as error:
        raise EmError(f"NATS does not answer: {error!r}", hint="check NATS_URL; run: em doctor") from error
    except OSError as error:
        raise EmError(f"cannot connect: {error}", hint="start the stack with: em up; or run: em doctor") from error


@asynccontextmanager
async def open_bus() -> AsyncIterator["Bus"]:
    from shared.bus.connection import open_operator
    from shared.settings import ServiceSettings, load

    async with open_operator(load(ServiceSettings)) as bus:
        yield bus


@asynccontextmanager
async def open_database(schema: str) -> AsyncIterator["Connection"]:
    """The owner's connection, in one service's schema."""
    import asyncpg

    from shared.db.url import normalise

    connection = await asyncpg.connect(normalise(os.environ.get("DATABASE_URL", "")))
    try:
        await connection.execute(f"SET search_path = {schema}")  # a constant of the contracts
        yield connection
    finally:
        await connection.close()
